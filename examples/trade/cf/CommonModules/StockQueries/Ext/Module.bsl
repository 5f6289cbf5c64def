#Region Public

// Returns stock balances for the warehouse as seen by external systems.
//
// Parameters:
//  Warehouse - CatalogRef.Склады - warehouse, all warehouses when empty.
//
// Returns:
//  ValueTable - Sku, Name, Quantity, Reserved, Available.
//
Function Balances(Warehouse = Undefined) Export

	Query = New Query;
	Query.Text =
	"SELECT
	|	StockBalance.Номенклатура AS Product,
	|	SUM(StockBalance.КоличествоBalance) AS Quantity
	|INTO Stock
	|FROM
	|	AccumulationRegister.ТоварыНаСкладах.Balance(
	|			,
	|			&AllWarehouses
	|				OR Склад = &Warehouse) AS StockBalance
	|
	|GROUP BY
	|	StockBalance.Номенклатура
	|
	|INDEX BY
	|	Product
	|;
	|
	|////////////////////////////////////////////////////////////////////////////////
	|SELECT
	|	ReserveBalance.Номенклатура AS Product,
	|	SUM(ReserveBalance.КоличествоBalance) AS Reserved
	|INTO Reserves
	|FROM
	|	AccumulationRegister.РезервыТоваров.Balance(
	|			,
	|			&AllWarehouses
	|				OR Склад = &Warehouse) AS ReserveBalance
	|
	|GROUP BY
	|	ReserveBalance.Номенклатура
	|;
	|
	|////////////////////////////////////////////////////////////////////////////////
	|SELECT
	|	Stock.Product.Артикул AS Sku,
	|	Stock.Product.Description AS Name,
	|	Stock.Quantity AS Quantity,
	|	ISNULL(Reserves.Reserved, 0) AS Reserved,
	|	Stock.Quantity - ISNULL(Reserves.Reserved, 0) AS Available
	|FROM
	|	Stock AS Stock
	|		LEFT JOIN Reserves AS Reserves
	|		ON Stock.Product = Reserves.Product
	|WHERE
	|	Stock.Product.ВыгружатьНаСайт
	|
	|ORDER BY
	|	Sku";
	Query.SetParameter("AllWarehouses", Not ValueIsFilled(Warehouse));
	Query.SetParameter("Warehouse", Warehouse);

	Return Query.Execute().Unload();

EndFunction

// Returns sales of products for the period grouped by day.
//
// Parameters:
//  DateFrom - Date - beginning of the period.
//  DateTo - Date - end of the period.
//
// Returns:
//  ValueTable - Day, Sku, Quantity, Amount.
//
Function DailySales(DateFrom, DateTo) Export

	Query = New Query(
	"SELECT
	|	BEGINOFPERIOD(Sales.Period, DAY) AS Day,
	|	Sales.Номенклатура.Артикул AS Sku,
	|	Sales.КоличествоTurnover AS Quantity,
	|	Sales.СуммаTurnover AS Amount
	|FROM
	|	AccumulationRegister.Продажи.Turnovers(&DateFrom, &DateTo, Day, ) AS Sales
	|WHERE
	|	Sales.СуммаTurnover <> 0
	|
	|ORDER BY
	|	Day,
	|	Sku");
	Query.SetParameter("DateFrom", BegOfDay(DateFrom));
	Query.SetParameter("DateTo", EndOfDay(DateTo));

	Return Query.Execute().Unload();

EndFunction

// Returns current prices of products for the default price type.
//
// Returns:
//  Map - product references and prices.
//
Function CurrentPrices() Export

	Query = New Query(
	"SELECT
	|	Prices.Номенклатура AS Product,
	|	Prices.Цена AS Price
	|FROM
	|	InformationRegister.ЦеныНоменклатуры.SliceLast(&Moment, ВидЦен = &PriceType) AS Prices");
	Query.SetParameter("Moment", CurrentSessionDate());
	Query.SetParameter("PriceType", Constants.ВидЦенПоУмолчанию.Get());

	Result = New Map;
	Selection = Query.Execute().Select();
	While Selection.Next() Do
		Result.Insert(Selection.Product, Selection.Price);
	EndDo;

	Return Result;

EndFunction

// Returns products whose available quantity is below the minimum.
//
// Parameters:
//  Warehouse - CatalogRef.Склады - warehouse.
//
// Returns:
//  Array - structures with fields Product, Quantity, Minimum.
//
Function LowStock(Warehouse) Export

	Query = New Query(
	"SELECT
	|	Products.Ref AS Product,
	|	Products.МинимальныйОстаток AS Minimum,
	|	ISNULL(StockBalance.КоличествоBalance, 0) AS Quantity
	|FROM
	|	Catalog.Номенклатура AS Products
	|		LEFT JOIN AccumulationRegister.ТоварыНаСкладах.Balance(, Склад = &Warehouse) AS StockBalance
	|		ON Products.Ref = StockBalance.Номенклатура
	|WHERE
	|	NOT Products.DeletionMark
	|	AND NOT Products.IsFolder
	|	AND Products.МинимальныйОстаток > ISNULL(StockBalance.КоличествоBalance, 0)");
	Query.SetParameter("Warehouse", Warehouse);

	Return CollectionTools.TableToArray(Query.Execute().Unload());

EndFunction

#EndRegion
