#Region Public

// Notifies an external system about a change of an order status.
//
// Parameters:
//  Order - DocumentRef.ЗаказПокупателя - changed order.
//
// Returns:
//  Boolean - True when the notification was accepted.
//
Function NotifyOrderChanged(Order) Export

	Payload = New Structure;
	Payload.Insert("event", "order.changed");
	Payload.Insert("sentAt", DateTools.ToIsoString(CurrentSessionDate()));
	Payload.Insert("order", ОбменССайтомСервер.ОписаниеЗаказаДляСайта(Order));

	Return Send(Payload, Order);

EndFunction

// Notifies an external system about products that are running out.
//
// Parameters:
//  Warehouse - CatalogRef.Склады - warehouse to check.
//
// Returns:
//  Number - number of products in the notification.
//
Function NotifyLowStock(Warehouse) Export

	Items = New Array;
	For Each Row In StockQueries.LowStock(Warehouse) Do
		Item = New Structure;
		Item.Insert("sku", ОбщегоНазначенияТорговля.ЗначениеРеквизитаОбъекта(Row.Product, "Артикул"));
		Item.Insert("quantity", Row.Quantity);
		Item.Insert("minimum", Row.Minimum);
		Items.Add(Item);
	EndDo;

	If Items.Count() = 0 Then
		Return 0;
	EndIf;

	For Each Batch In CollectionTools.SplitIntoBatches(Items, 50) Do
		Payload = New Structure("event, warehouse, items", "stock.low", String(Warehouse), Batch);
		If Not Send(Payload, Warehouse) Then
			Break;
		EndIf;
	EndDo;

	Return Items.Count();

EndFunction

#EndRegion

#Region Private

Function Send(Payload, Ref)

	Url = Constants.WebhookUrl.Get();
	If IsBlankString(Url) Then
		Return False;
	EndIf;

	Try
		Response = HttpClient.PostJson(Url, Payload);
	Except
		LogTools.WriteError("Webhook", DetailErrorDescription(ErrorInfo()), Ref);
		Return False;
	EndTry;

	If Response.StatusCode >= 300 Then
		LogTools.WriteWarning("Webhook", StrTemplate("Status %1: %2", Response.StatusCode, Response.Body), Ref);
		Return False;
	EndIf;

	Return True;

EndFunction

#EndRegion
