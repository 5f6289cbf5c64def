#Region Public

// Cuts the text to the given length and appends an ellipsis when something was cut.
//
// Parameters:
//  Text - String - source text.
//  MaxLength - Number - maximum length of the result.
//
// Returns:
//  String - text that is not longer than MaxLength.
//
Function Truncate(Text, MaxLength) Export

	If StrLen(Text) <= MaxLength Then
		Return Text;
	EndIf;

	If MaxLength <= 3 Then
		Return Left(Text, MaxLength);
	EndIf;

	Return Left(Text, MaxLength - 3) + "...";

EndFunction

// Pads the text on the left with the given character.
//
// Parameters:
//  Text - String - source text.
//  Length - Number - required length.
//  Character - String - padding character.
//
// Returns:
//  String - padded text.
//
Function PadLeft(Text, Length, Character = " ") Export

	Result = Text;
	While StrLen(Result) < Length Do
		Result = Character + Result;
	EndDo;

	Return Result;

EndFunction

// Splits a query string such as "a=1&b=2" into a map.
//
// Parameters:
//  QueryString - String - part of the address after the question mark.
//
// Returns:
//  Map - parameter names and decoded values.
//
Function ParseQueryString(QueryString) Export

	Result = New Map;

	For Each Pair In StrSplit(QueryString, "&", False) Do
		Position = StrFind(Pair, "=");
		If Position = 0 Then
			Result.Insert(Lower(Pair), "");
			Continue;
		EndIf;

		Name = Lower(Left(Pair, Position - 1));
		Value = Mid(Pair, Position + 1);
		Result.Insert(Name, DecodeString(Value, StringEncodingMethod.URLEncoding));
	EndDo;

	Return Result;

EndFunction

// Joins non-empty parts with a separator.
//
// Parameters:
//  Parts - Array - parts to join.
//  Separator - String - text between the parts.
//
// Returns:
//  String - joined text.
//
Function JoinFilled(Parts, Separator = ", ") Export

	Filled = New Array;
	For Each Part In Parts Do
		If ValueIsFilled(Part) Then
			Filled.Add(TrimAll(Part));
		EndIf;
	EndDo;

	Return StrConcat(Filled, Separator);

EndFunction

// Checks that the text looks like an e-mail address.
//
// Parameters:
//  Address - String - text to check.
//
// Returns:
//  Boolean - True when the address has one "@" and a dot in the domain part.
//
Function IsEmail(Address) Export

	Parts = StrSplit(TrimAll(Address), "@");
	If Parts.Count() <> 2 Then
		Return False;
	EndIf;

	Domain = Parts[1];
	DotPosition = StrFind(Domain, ".", SearchDirection.FromEnd);

	Return Not IsBlankString(Parts[0])
		And DotPosition > 1
		And DotPosition < StrLen(Domain);

EndFunction

// Converts a CamelCase identifier to snake_case.
//
// Parameters:
//  Identifier - String - identifier to convert.
//
// Returns:
//  String - converted identifier.
//
Function ToSnakeCase(Identifier) Export

	Result = "";
	For Index = 1 To StrLen(Identifier) Do
		Character = Mid(Identifier, Index, 1);
		IsCapital = Character <> Lower(Character);
		If IsCapital And Index > 1 Then
			Result = Result + "_";
		EndIf;
		Result = Result + Lower(Character);
	EndDo;

	Return Result;

EndFunction

#EndRegion
