#Region FormEventHandlers

&AtServer
Procedure OnCreateAtServer(Cancel, StandardProcessing)

	Object.BatchSize = 100;
	Object.DateTo = EndOfDay(CurrentSessionDate());
	Object.DateFrom = BegOfMonth(Object.DateTo);

	FillChannelList();
	RefreshState();

EndProcedure

#EndRegion

#Region FormItemsEventHandlers

&AtClient
Procedure ChannelOnChange(Item)

	RefreshState();
	RefreshVisibility();

EndProcedure

&AtClient
Procedure DateFromOnChange(Item)

	If ValueIsFilled(Object.DateTo) And Object.DateFrom > Object.DateTo Then
		Object.DateTo = EndOfDay(Object.DateFrom);
	EndIf;

EndProcedure

#EndRegion

#Region FormCommandHandlers

&AtClient
Procedure RunExchange(Command)

	If Not CheckFilling() Then
		Return;
	EndIf;

	If Object.Channel = "Sales" And DateTools.DaysBetween(Object.DateFrom, Object.DateTo) > 31 Then
		Handler = New NotifyDescription("RunExchangeContinue", ThisObject);
		ShowQueryBox(Handler, NStr("en = 'The period is longer than a month. Continue?'; ru = 'Период больше месяца. Продолжить?'"),
			QuestionDialogMode.YesNo);
		Return;
	EndIf;

	RunExchangeContinue(DialogReturnCode.Yes, Undefined);

EndProcedure

&AtClient
Procedure ShowErrors(Command)

	ShowErrorsAtServer();
	If Object.Messages.Count() = 0 Then
		ShowMessageBox(, NStr("en = 'No errors for the period.'; ru = 'За период ошибок нет.'"));
	EndIf;

EndProcedure

#EndRegion

#Region Private

&AtClient
Procedure RunExchangeContinue(Answer, AdditionalParameters) Export

	If Answer <> DialogReturnCode.Yes Then
		Return;
	EndIf;

	Status(NStr("en = 'Exchange is running...'; ru = 'Выполняется обмен...'"));
	Success = RunAtServer();

	If Success Then
		РаботаСФормамиКлиент.ПоказатьРезультатОперации(
			NStr("en = 'Exchange completed'; ru = 'Обмен завершен'"), Object.Channel);
	Else
		ShowMessageBox(, NStr("en = 'Exchange failed, see messages.'; ru = 'Обмен не выполнен, см. сообщения.'"));
	EndIf;

EndProcedure

&AtServer
Function RunAtServer()

	DataProcessor = FormAttributeToValue("Object");
	Success = DataProcessor.Run();
	ValueToFormAttribute(DataProcessor, "Object");
	RefreshState();

	Return Success;

EndFunction

&AtServer
Procedure ShowErrorsAtServer()

	Object.Messages.Clear();
	For Each Event In LogTools.LastErrors(Object.DateFrom) Do
		Row = Object.Messages.Add();
		Row.Moment = Event.Date;
		Row.Level = "Error";
		Row.Text = StringTools.Truncate(Event.Comment, 500);
	EndDo;

EndProcedure

&AtServer
Procedure FillChannelList()

	ChoiceList = Items.Channel.ChoiceList;
	ChoiceList.Add("Sales", NStr("en = 'Sales'; ru = 'Продажи'"));
	ChoiceList.Add("Stock", NStr("en = 'Stock balances'; ru = 'Остатки'"));
	ChoiceList.Add("Orders", NStr("en = 'Orders'; ru = 'Заказы'"));

EndProcedure

&AtServer
Procedure RefreshState()

	State = InformationRegisters.SyncState.GetState(Object.Channel);
	LastSuccess = State.LastSuccess;
	StatePresentation = StringTools.JoinFilled(
		CollectionTools.Difference(StateParts(State), New Array), "; ");

EndProcedure

&AtServerNoContext
Function StateParts(State)

	Parts = New Array;
	Parts.Add(String(State.Status));
	Parts.Add(State.ErrorText);

	Return Parts;

EndFunction

&AtClient
Procedure RefreshVisibility()

	NeedPeriod = Object.Channel = "Sales";
	РаботаСФормамиКлиентСервер.УстановитьСвойствоЭлемента(Items, "DateFrom", "Visible", NeedPeriod);
	РаботаСФормамиКлиентСервер.УстановитьСвойствоЭлемента(Items, "DateTo", "Visible", NeedPeriod);

EndProcedure

#EndRegion
