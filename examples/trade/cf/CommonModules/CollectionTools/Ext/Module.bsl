#Region Public

// Splits an array into batches of a fixed size.
//
// Parameters:
//  Items - Array - source items.
//  BatchSize - Number - maximum number of items in a batch.
//
// Returns:
//  Array - array of arrays.
//
Function SplitIntoBatches(Items, BatchSize) Export

	Result = New Array;
	Batch = New Array;

	For Each Item In Items Do
		Batch.Add(Item);
		If Batch.Count() = BatchSize Then
			Result.Add(Batch);
			Batch = New Array;
		EndIf;
	EndDo;

	If Batch.Count() > 0 Then
		Result.Add(Batch);
	EndIf;

	Return Result;

EndFunction

// Returns items of the first array that are missing in the second one.
//
// Parameters:
//  Items - Array - items to filter.
//  Excluded - Array - items to remove.
//
// Returns:
//  Array - the difference.
//
Function Difference(Items, Excluded) Export

	ExcludedMap = New Map;
	For Each Item In Excluded Do
		ExcludedMap.Insert(Item, True);
	EndDo;

	Result = New Array;
	For Each Item In Items Do
		If ExcludedMap.Get(Item) = Undefined Then
			Result.Add(Item);
		EndIf;
	EndDo;

	Return Result;

EndFunction

// Copies a structure or a map one level deep.
//
// Parameters:
//  Source - Structure, Map - collection to copy.
//
// Returns:
//  Structure, Map - a copy of the same type.
//
Function ShallowCopy(Source) Export

	If TypeOf(Source) = Type("Map") Then
		Result = New Map;
	Else
		Result = New Structure;
	EndIf;

	For Each KeyAndValue In Source Do
		Result.Insert(KeyAndValue.Key, KeyAndValue.Value);
	EndDo;

	Return Result;

EndFunction

// Adds values of one map to another, replacing existing keys.
//
// Parameters:
//  Target - Map - map to extend.
//  Source - Map, Undefined - additional values.
//
Procedure MergeMap(Target, Source) Export

	If Source = Undefined Then
		Return;
	EndIf;

	For Each KeyAndValue In Source Do
		Target.Insert(KeyAndValue.Key, KeyAndValue.Value);
	EndDo;

EndProcedure

#If Server Or ThickClientOrdinaryApplication Or ExternalConnection Then

// Converts a value table into an array of structures.
//
// Parameters:
//  Table - ValueTable - source table.
//
// Returns:
//  Array - one structure for each row.
//
Function TableToArray(Table) Export

	Result = New Array;
	For Each Row In Table Do
		Item = New Structure;
		For Each Column In Table.Columns Do
			Item.Insert(Column.Name, Row[Column.Name]);
		EndDo;
		Result.Add(Item);
	EndDo;

	Return Result;

EndFunction

#EndIf

#EndRegion
