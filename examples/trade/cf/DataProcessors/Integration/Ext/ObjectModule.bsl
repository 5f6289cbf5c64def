#If Server Or ThickClientOrdinaryApplication Or ExternalConnection Then

#Region Public

// Runs the selected exchange channel and keeps its state.
//
// Returns:
//  Boolean - True when the channel finished without errors.
//
Function Run() Export

	Messages.Clear();
	InformationRegisters.SyncState.Start(Channel);

	Try
		If Channel = "Sales" Then
			Cursor = ExportSales();
		ElsIf Channel = "Stock" Then
			Cursor = ExportStock();
		ElsIf Channel = "Orders" Then
			Cursor = ImportOrders();
		Else
			Raise StrTemplate(NStr("en = 'Unknown channel %1'; ru = 'Неизвестный канал %1'"), Channel);
		EndIf;
	Except
		ErrorText = BriefErrorDescription(ErrorInfo());
		AddMessage("Error", ErrorText);
		InformationRegisters.SyncState.Finish(Channel, False, "", ErrorText);
		LogTools.WriteError("Channel." + Channel, DetailErrorDescription(ErrorInfo()));
		Return False;
	EndTry;

	InformationRegisters.SyncState.Finish(Channel, True, Cursor);

	Return True;

EndFunction

#EndRegion

#Region EventHandlers

Procedure FillCheckProcessing(Cancel, CheckedAttributes)

	If ValueIsFilled(DateTo) And DateFrom > DateTo Then
		ОбщегоНазначенияТорговляКлиентСервер.СообщитьПользователю(
			NStr("en = 'The period is set incorrectly.'; ru = 'Неверно задан период.'"), , "DateTo", "Object", Cancel);
	EndIf;

	If BatchSize < 1 Or BatchSize > 1000 Then
		ОбщегоНазначенияТорговляКлиентСервер.СообщитьПользователю(
			NStr("en = 'Batch size must be between 1 and 1000.'; ru = 'Размер порции должен быть от 1 до 1000.'"),
			, "BatchSize", "Object", Cancel);
	EndIf;

EndProcedure

#EndRegion

#Region Private

Function ExportSales()

	Sales = StockQueries.DailySales(DateFrom, DateTo);
	AddMessage("Info", StrTemplate(NStr("en = 'Rows to export: %1'; ru = 'Строк к выгрузке: %1'"), Sales.Count()));

	SendRows("/api/sales", CollectionTools.TableToArray(Sales));

	Return DateTools.ToIsoString(DateTo);

EndFunction

Function ExportStock()

	Warehouse = Constants.ОсновнойСклад.Get();
	Balances = StockQueries.Balances(Warehouse);

	SendRows("/api/stock", CollectionTools.TableToArray(Balances));
	LowCount = WebhookSender.NotifyLowStock(Warehouse);
	If LowCount > 0 Then
		AddMessage("Warning", StrTemplate(NStr("en = 'Products below minimum: %1'; ru = 'Ниже минимума: %1'"), LowCount));
	EndIf;

	Return DateTools.ToIsoString(CurrentSessionDate());

EndFunction

Function ImportOrders()

	Result = ОбменССайтомСервер.ВыполнитьОбмен();
	AddMessage("Info", StrTemplate(NStr("en = 'Orders loaded: %1'; ru = 'Загружено заказов: %1'"), Result.Загружено));

	If Result.Ошибок > 0 Then
		AddMessage("Warning", StrTemplate(NStr("en = 'Errors: %1'; ru = 'Ошибок: %1'"), Result.Ошибок));
	EndIf;

	Return DateTools.ToIsoString(CurrentSessionDate());

EndFunction

Procedure SendRows(Path, Rows)

	SiteAddress = Constants.АдресСайта.Get();
	Sent = 0;

	For Each Batch In CollectionTools.SplitIntoBatches(Rows, BatchSize) Do
		Response = HttpClient.PostJson(SiteAddress + Path, New Structure("rows", Batch));
		If Response.StatusCode >= 300 Then
			Raise StrTemplate(NStr("en = 'Status %1 after %2 rows'; ru = 'Код %1 после %2 строк'"), Response.StatusCode, Sent);
		EndIf;
		Sent = Sent + Batch.Count();
	EndDo;

	AddMessage("Info", StrTemplate(NStr("en = 'Rows sent: %1'; ru = 'Отправлено строк: %1'"), Sent));

EndProcedure

Procedure AddMessage(Level, Text)

	Row = Messages.Add();
	Row.Moment = CurrentSessionDate();
	Row.Level = Level;
	Row.Text = Text;

EndProcedure

#EndRegion

#EndIf
