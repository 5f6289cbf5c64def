#Region Public

// Writes an error to the event log.
//
// Parameters:
//  EventName - String - event name without the prefix.
//  Text - String - error description.
//  Ref - AnyRef, Undefined - related object.
//
Procedure WriteError(EventName, Text, Ref = Undefined) Export

	WriteEvent(EventName, EventLogLevel.Error, Text, Ref);

EndProcedure

// Writes a warning to the event log.
//
// Parameters:
//  EventName - String - event name without the prefix.
//  Text - String - warning description.
//  Ref - AnyRef, Undefined - related object.
//
Procedure WriteWarning(EventName, Text, Ref = Undefined) Export

	WriteEvent(EventName, EventLogLevel.Warning, Text, Ref);

EndProcedure

// Writes an informational message to the event log.
//
// Parameters:
//  EventName - String - event name without the prefix.
//  Text - String - message.
//  Ref - AnyRef, Undefined - related object.
//
Procedure WriteInfo(EventName, Text, Ref = Undefined) Export

	WriteEvent(EventName, EventLogLevel.Information, Text, Ref);

EndProcedure

// Reads the last errors of integration events.
//
// Parameters:
//  DateFrom - Date - beginning of the period.
//  MaxCount - Number - maximum number of rows.
//
// Returns:
//  ValueTable - rows of the event log.
//
Function LastErrors(DateFrom, MaxCount = 100) Export

	Filter = New Structure;
	Filter.Insert("StartDate", DateFrom);
	Filter.Insert("Level", EventLogLevel.Error);

	Events = New ValueTable;
	UnloadEventLog(Events, Filter, "Date, Event, Comment", , MaxCount);

	Index = Events.Count() - 1;
	While Index >= 0 Do
		If Not StrStartsWith(Events[Index].Event, EventPrefix()) Then
			Events.Delete(Index);
		EndIf;
		Index = Index - 1;
	EndDo;

	Return Events;

EndFunction

#EndRegion

#Region Private

Procedure WriteEvent(EventName, Level, Text, Ref)

	RefMetadata = ?(ValueIsFilled(Ref), Ref.Metadata(), Undefined);
	WriteLogEvent(EventPrefix() + EventName, Level, RefMetadata, Ref, StringTools.Truncate(Text, 4000));

EndProcedure

Function EventPrefix()

	Return "Integration.";

EndFunction

#EndRegion
