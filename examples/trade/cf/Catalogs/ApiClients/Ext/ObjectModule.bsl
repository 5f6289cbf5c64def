#If Server Or ThickClientOrdinaryApplication Or ExternalConnection Then

#Region Public

// Generates a new token and stores its hash. The token itself is not saved.
//
// Returns:
//  String - token to hand over to the client.
//
Function IssueToken() Export

	Token = StrReplace(String(New UUID) + String(New UUID), "-", "");
	TokenHash = Catalogs.ApiClients.HashOfToken(Token);
	IsActive = True;

	Return Token;

EndFunction

#EndRegion

#Region EventHandlers

Procedure BeforeWrite(Cancel)

	If DataExchange.Load Then
		Return;
	EndIf;

	AllowedAddress = TrimAll(AllowedAddress);
	If DeletionMark Then
		IsActive = False;
	EndIf;

EndProcedure

Procedure FillCheckProcessing(Cancel, CheckedAttributes)

	If IsActive And IsBlankString(TokenHash) Then
		ОбщегоНазначенияТорговляКлиентСервер.СообщитьПользователю(
			NStr("en = 'Issue a token before activating the client.'; ru = 'Перед включением клиента выпустите токен.'"),
			Ref, "IsActive", "Object", Cancel);
	EndIf;

EndProcedure

Procedure OnCopy(CopiedObject)

	TokenHash = "";
	IsActive = False;
	LastRequestDate = Undefined;

EndProcedure

#EndRegion

#EndIf
