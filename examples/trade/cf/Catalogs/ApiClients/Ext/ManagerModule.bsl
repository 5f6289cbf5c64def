#If Server Or ThickClientOrdinaryApplication Or ExternalConnection Then

#Region Public

// Finds an active client by its token.
//
// Parameters:
//  Token - String - token from the request header.
//
// Returns:
//  CatalogRef.ApiClients - found client or an empty reference.
//
Function FindByToken(Token) Export

	If IsBlankString(Token) Then
		Return Catalogs.ApiClients.EmptyRef();
	EndIf;

	Query = New Query(
	"SELECT TOP 1
	|	ApiClients.Ref AS Ref
	|FROM
	|	Catalog.ApiClients AS ApiClients
	|WHERE
	|	ApiClients.TokenHash = &TokenHash
	|	AND ApiClients.IsActive
	|	AND NOT ApiClients.DeletionMark");
	Query.SetParameter("TokenHash", HashOfToken(Token));

	Selection = Query.Execute().Select();
	If Selection.Next() Then
		Return Selection.Ref;
	EndIf;

	Return Catalogs.ApiClients.EmptyRef();

EndFunction

// Returns a hash of the token in hexadecimal form.
//
// Parameters:
//  Token - String - token.
//
// Returns:
//  String - 64 hexadecimal characters.
//
Function HashOfToken(Token) Export

	Hashing = New DataHashing(HashFunction.SHA256);
	Hashing.Append(Token);

	Return Lower(StrReplace(String(Hashing.HashSum), " ", ""));

EndFunction

// Stores the moment of the last request of the client.
//
// Parameters:
//  Client - CatalogRef.ApiClients - client.
//
Procedure RegisterRequest(Client) Export

	ClientObject = Client.GetObject();
	ClientObject.LastRequestDate = CurrentSessionDate();
	ClientObject.DataExchange.Load = True;
	ClientObject.Write();

EndProcedure

#EndRegion

#EndIf
