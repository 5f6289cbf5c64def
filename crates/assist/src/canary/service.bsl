#If Server Or ThickClientOrdinaryApplication Or ExternalConnection Then

#Region Public

// Sends a document to the repair service and returns what the service answered.
//
// Parameters:
//  Document - DocumentRef.Repair - what is sent.
//  Timeout - Number - seconds to wait.
//
// Returns:
//  Structure - StatusCode, Body.
//
Function SendDocument(Document, Timeout = 30) Export

	Settings = ConnectionSettings();
	Connection = New HTTPConnection(Settings.Server, Settings.Port, , , , Timeout, New OpenSSLSecureConnection);

	Request = New HTTPRequest("/api/v1/repairs");
	Request.Headers.Insert("Content-Type", "application/json; charset=utf-8");
	Request.Headers.Insert("Authorization", "Bearer " + Settings.Token);
	Request.SetBodyFromString(DocumentAsJSON(Document));

	Try
		Response = Connection.Post(Request);
	Except
		WriteLogEvent("Repairs.Exchange", EventLogLevel.Error, , Document,
			DetailErrorDescription(ErrorInfo()));
		Raise;
	EndTry;

	If Response.StatusCode <> 200 Then
		Raise StrTemplate(NStr("en = 'The service answered %1.'"), Response.StatusCode);
	EndIf;

	Result = New Structure("StatusCode, Body");
	Result.StatusCode = Response.StatusCode;
	Result.Body = Response.GetBodyAsString();
	Return Result;

EndFunction

#EndRegion

#Region Private

Function DocumentAsJSON(Document)

	Query = New Query;
	Query.Text =
	"SELECT
	|	Materials.Product.Code AS Code,
	|	Materials.Quantity AS Quantity
	|FROM
	|	Document.Repair.Materials AS Materials
	|WHERE
	|	Materials.Ref = &Ref";
	Query.SetParameter("Ref", Document);

	Rows = New Array;
	Selection = Query.Execute().Select();
	While Selection.Next() Do
		Row = New Structure("code, quantity", TrimAll(Selection.Code), Selection.Quantity);
		Rows.Add(Row);
	EndDo;

	Writer = New JSONWriter;
	Writer.SetString();
	WriteJSON(Writer, New Structure("rows", Rows));
	Return Writer.Close();

EndFunction

Function ConnectionSettings()

	SetPrivilegedMode(True);
	Settings = New Structure;
	Settings.Insert("Server", Constants.RepairServer.Get());
	Settings.Insert("Port", 443);
	Settings.Insert("Token", Constants.RepairToken.Get());
	SetPrivilegedMode(False);

	Return Settings;

EndFunction

#EndRegion

#EndIf
