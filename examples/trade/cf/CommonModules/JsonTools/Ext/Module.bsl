#Region Public

// Serializes a value to a JSON string. Dates are written in ISO format.
//
// Parameters:
//  Value - Structure, Map, Array - value to serialize.
//
// Returns:
//  String - JSON text.
//
Function ToJson(Value) Export

	Settings = New JSONSerializerSettings;
	Settings.DateSerializationFormat = JSONDateFormat.ISO;

	Writer = New JSONWriter;
	Writer.SetString(New JSONWriterSettings(JSONLineBreak.None));
	WriteJSON(Writer, Value, Settings);

	Return Writer.Close();

EndFunction

// Parses a JSON string into maps and arrays.
//
// Parameters:
//  Text - String - JSON text.
//
// Returns:
//  Map, Array - parsed value, Undefined when the text is empty.
//
Function FromJson(Text) Export

	If IsBlankString(Text) Then
		Return Undefined;
	EndIf;

	Reader = New JSONReader;
	Reader.SetString(Text);
	Result = ReadJSON(Reader, True);
	Reader.Close();

	Return Result;

EndFunction

// Reads a nested array, tolerating missing or wrongly typed values.
//
// Parameters:
//  Data - Map - parsed JSON object.
//  Name - String - property name.
//
// Returns:
//  Array - found array or an empty one.
//
Function GetArray(Data, Name) Export

	If TypeOf(Data) <> Type("Map") Then
		Return New Array;
	EndIf;

	Value = Data.Get(Name);
	If TypeOf(Value) <> Type("Array") Then
		Return New Array;
	EndIf;

	Return Value;

EndFunction

// Reads a value by a dotted path.
//
// Parameters:
//  Data - Map - parsed JSON object.
//  Path - String - for example "customer.address.city".
//  DefaultValue - Arbitrary - returned when the path does not exist.
//
// Returns:
//  Arbitrary - found value.
//
Function GetByPath(Data, Path, DefaultValue = Undefined) Export

	Current = Data;
	For Each Name In StrSplit(Path, ".", False) Do
		If TypeOf(Current) <> Type("Map") Then
			Return DefaultValue;
		EndIf;
		Current = Current.Get(Name);
		If Current = Undefined Then
			Return DefaultValue;
		EndIf;
	EndDo;

	Return Current;

EndFunction

// Checks that all the required properties are present.
//
// Parameters:
//  Data - Map - parsed JSON object.
//  RequiredNames - String - comma separated property names.
//
// Returns:
//  Array - names of missing properties.
//
Function MissingProperties(Data, RequiredNames) Export

	Result = New Array;
	For Each Name In StrSplit(RequiredNames, ",", False) Do
		Name = TrimAll(Name);
		If Not ValueIsFilled(Data.Get(Name)) Then
			Result.Add(Name);
		EndIf;
	EndDo;

	Return Result;

EndFunction

#EndRegion
