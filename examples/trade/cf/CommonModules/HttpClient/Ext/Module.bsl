#Region Public

// Sends a GET request and parses a JSON answer.
//
// Parameters:
//  Url - String - full address with a scheme.
//  Headers - Map, Undefined - additional headers.
//
// Returns:
//  Structure - StatusCode, Body, Data.
//
Function GetJson(Url, Headers = Undefined) Export

	Return SendWithRetries("GET", Url, "", Headers);

EndFunction

// Sends a POST request with a JSON body.
//
// Parameters:
//  Url - String - full address with a scheme.
//  Data - Structure, Map, Array - value to be sent.
//  Headers - Map, Undefined - additional headers.
//
// Returns:
//  Structure - StatusCode, Body, Data.
//
Function PostJson(Url, Data, Headers = Undefined) Export

	Return SendWithRetries("POST", Url, JsonTools.ToJson(Data), Headers);

EndFunction

// Downloads a text resource without parsing.
//
// Parameters:
//  Url - String - full address with a scheme.
//  Encoding - String - text encoding, for example "windows-1251".
//
// Returns:
//  Structure - StatusCode, Body, Data.
//
Function GetText(Url, Encoding = "UTF-8") Export

	Address = ParseUrl(Url);
	Response = NewConnection(Address).CallHTTPMethod("GET", New HTTPRequest(Address.Path));

	Return NewResult(Response.StatusCode, Response.GetBodyAsString(Encoding));

EndFunction

// Splits an address into its parts.
//
// Parameters:
//  Url - String - for example "https://shop.example:8080/api/orders".
//
// Returns:
//  Structure - Secure, Server, Port, Path.
//
Function ParseUrl(Url) Export

	Result = New Structure("Secure, Server, Port, Path", False, "", 80, "/");
	Rest = TrimAll(Url);

	SchemeEnd = StrFind(Rest, "://");
	If SchemeEnd > 0 Then
		Result.Secure = Lower(Left(Rest, SchemeEnd - 1)) = "https";
		Rest = Mid(Rest, SchemeEnd + 3);
	EndIf;
	Result.Port = ?(Result.Secure, 443, 80);

	PathStart = StrFind(Rest, "/");
	If PathStart > 0 Then
		Result.Path = Mid(Rest, PathStart);
		Rest = Left(Rest, PathStart - 1);
	EndIf;

	PortStart = StrFind(Rest, ":");
	If PortStart > 0 Then
		Result.Port = Number(Mid(Rest, PortStart + 1));
		Rest = Left(Rest, PortStart - 1);
	EndIf;

	Result.Server = Rest;

	Return Result;

EndFunction

#EndRegion

#Region Private

Function SendWithRetries(Method, Url, Body, Headers)

	Policy = RetryPolicy.NewPolicy();
	Result = Undefined;

	While RetryPolicy.CanTry(Policy) Do
		Try
			Result = SendOnce(Method, Url, Body, Headers);
			If Not RetryPolicy.IsTemporaryStatus(Result.StatusCode) Then
				Return Result;
			EndIf;
			RetryPolicy.RegisterFailure(Policy, "HTTP " + Result.StatusCode);
		Except
			RetryPolicy.RegisterFailure(Policy, BriefErrorDescription(ErrorInfo()));
		EndTry;
	EndDo;

	If Result <> Undefined Then
		Return Result;
	EndIf;

	LogTools.WriteError("HttpClient", StrTemplate("%1 %2: %3", Method, Url, Policy.LastError));
	Raise Policy.LastError;

EndFunction

Function SendOnce(Method, Url, Body, Headers)

	Address = ParseUrl(Url);

	RequestHeaders = New Map;
	RequestHeaders.Insert("Accept", "application/json");
	If Not IsBlankString(Body) Then
		RequestHeaders.Insert("Content-Type", "application/json; charset=utf-8");
	EndIf;
	CollectionTools.MergeMap(RequestHeaders, Headers);

	Request = New HTTPRequest(Address.Path, RequestHeaders);
	If Not IsBlankString(Body) Then
		Request.SetBodyFromString(Body, TextEncoding.UTF8, ByteOrderMarkUse.DontUse);
	EndIf;

	Response = NewConnection(Address).CallHTTPMethod(Method, Request);
	Result = NewResult(Response.StatusCode, Response.GetBodyAsString());

	ContentType = Response.Headers.Get("Content-Type");
	If ContentType <> Undefined And StrFind(Lower(ContentType), "json") > 0 Then
		Result.Data = JsonTools.FromJson(Result.Body);
	EndIf;

	Return Result;

EndFunction

Function NewConnection(Address)

	Timeout = 30;
	SecureConnection = ?(Address.Secure, New OpenSSLSecureConnection, Undefined);

	Return New HTTPConnection(Address.Server, Address.Port, , , , Timeout, SecureConnection);

EndFunction

Function NewResult(StatusCode, Body)

	Return New Structure("StatusCode, Body, Data", StatusCode, Body, Undefined);

EndFunction

#EndRegion
