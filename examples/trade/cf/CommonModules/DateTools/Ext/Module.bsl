#Region Public

// Formats a date as an ISO 8601 string without a time zone.
//
// Parameters:
//  Value - Date - date to format.
//
// Returns:
//  String - for example "2024-03-15T10:20:30".
//
Function ToIsoString(Value) Export

	If Not ValueIsFilled(Value) Then
		Return "";
	EndIf;

	Return Format(Value, "DF=yyyy-MM-ddTHH:mm:ss");

EndFunction

// Reads a date from an ISO 8601 string. Time zone suffix is ignored.
//
// Parameters:
//  Text - String - text to parse.
//
// Returns:
//  Date - parsed date or an empty date when the text is not a date.
//
Function FromIsoString(Text) Export

	Digits = "";
	For Index = 1 To StrLen(Text) Do
		Character = Mid(Text, Index, 1);
		If StrFind("0123456789", Character) > 0 Then
			Digits = Digits + Character;
		ElsIf Character = "Z" Or Character = "+" Or Character = "." Then
			Break;
		EndIf;
	EndDo;

	If StrLen(Digits) <> 8 And StrLen(Digits) <> 14 Then
		Return Date(1, 1, 1);
	EndIf;

	Try
		Return Date(Digits);
	Except
		Return Date(1, 1, 1);
	EndTry;

EndFunction

// Splits a period into whole days.
//
// Parameters:
//  DateFrom - Date - first day.
//  DateTo - Date - last day.
//
// Returns:
//  Array - beginnings of days, both ends included.
//
Function DaysOfPeriod(DateFrom, DateTo) Export

	Result = New Array;
	CurrentDay = BegOfDay(DateFrom);

	While CurrentDay <= DateTo Do
		Result.Add(CurrentDay);
		CurrentDay = CurrentDay + SecondsInDay();
	EndDo;

	Return Result;

EndFunction

// Adds working days to a date, skipping Saturdays and Sundays.
//
// Parameters:
//  StartDate - Date - initial date.
//  DayCount - Number - number of working days to add.
//
// Returns:
//  Date - resulting date.
//
Function AddWorkingDays(StartDate, DayCount) Export

	Result = StartDate;
	Remaining = DayCount;

	While Remaining > 0 Do
		Result = Result + SecondsInDay();
		If WeekDay(Result) < 6 Then
			Remaining = Remaining - 1;
		EndIf;
	EndDo;

	Return Result;

EndFunction

// Returns the number of whole days between two dates.
//
// Parameters:
//  DateFrom - Date - earlier date.
//  DateTo - Date - later date.
//
// Returns:
//  Number - number of days, negative when the dates are swapped.
//
Function DaysBetween(DateFrom, DateTo) Export

	Return (BegOfDay(DateTo) - BegOfDay(DateFrom)) / SecondsInDay();

EndFunction

// Number of seconds in a day.
//
// Returns:
//  Number - 86400.
//
Function SecondsInDay() Export

	Return 24 * 60 * 60;

EndFunction

#EndRegion
