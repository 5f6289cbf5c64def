#If Server Or ThickClientOrdinaryApplication Or ExternalConnection Then

#Region Public

// Returns the stored state of a channel.
//
// Parameters:
//  Channel - String - channel name.
//
// Returns:
//  Structure - Status, LastRun, LastSuccess, Cursor, ErrorText.
//
Function GetState(Channel) Export

	Return InformationRegisters.SyncState.Get(New Structure("Channel", Channel));

EndFunction

// Marks the channel as running. Raises an error when it is running already.
//
// Parameters:
//  Channel - String - channel name.
//
Procedure Start(Channel) Export

	BeginTransaction();
	Try
		Lock = New DataLock;
		LockItem = Lock.Add("InformationRegister.SyncState");
		LockItem.Mode = DataLockMode.Exclusive;
		LockItem.SetValue("Channel", Channel);
		Lock.Lock();

		State = GetState(Channel);
		HourAgo = CurrentSessionDate() - 3600;
		If State.Status = Enums.SyncStatuses.InProgress And State.LastRun > HourAgo Then
			Raise StrTemplate(NStr("en = 'Channel %1 is already running'; ru = 'Канал %1 уже выполняется'"), Channel);
		EndIf;

		Record = InformationRegisters.SyncState.CreateRecordManager();
		FillPropertyValues(Record, State);
		Record.Channel = Channel;
		Record.Status = Enums.SyncStatuses.InProgress;
		Record.LastRun = CurrentSessionDate();
		Record.ErrorText = "";
		Record.Write();

		CommitTransaction();
	Except
		RollbackTransaction();
		Raise;
	EndTry;

EndProcedure

// Stores the result of a channel run.
//
// Parameters:
//  Channel - String - channel name.
//  Success - Boolean - result of the run.
//  Cursor - String - position to continue from.
//  ErrorText - String - reason of the failure.
//
Procedure Finish(Channel, Success, Cursor = "", ErrorText = "") Export

	Record = InformationRegisters.SyncState.CreateRecordManager();
	Record.Channel = Channel;
	Record.Read();
	Record.Channel = Channel;

	If Success Then
		Record.Status = Enums.SyncStatuses.Done;
		Record.LastSuccess = CurrentSessionDate();
		Record.Cursor = Cursor;
	Else
		Record.Status = Enums.SyncStatuses.Failed;
	EndIf;

	Record.ErrorText = StringTools.Truncate(ErrorText, 500);
	Record.Write();

EndProcedure

#EndRegion

#EndIf
