# Тексты командной строки по-русски. В en.ftl те же ключи: тест их сравнивает.

## Справка

help-heading-usage = Вызов:
help-heading-commands = Команды
help-heading-arguments = Аргументы
help-heading-options = Параметры
help-default = [если не задано: {$value}]
help-heading-example = Пример:

help-every-help = Показать эту справку
help-every-version = Показать версию
help-every-json = Один документ JSON в stdout; ход работы и заметки остаются в stderr
help-every-lang = Язык сообщений (иначе — язык системы)
help-every-precision = На чём считает сеть: 8-битные коды, 4-битные числа или 32-битные числа с плавающей точкой для сравнения

help = Nestor: модель кода 1С:Предприятия, которая учится на вашей конфигурации на вашем компьютере
help-example =
    {"  "}nestor quickstart
    {"  "}nestor complete src/cf/CommonModules/Продажи/Ext/Module.bsl:42:17 --learn src/cf

help-quickstart = Выучить вложенную конфигурацию, дописать код на каждой скорости, показать таблицу точности
help-quickstart-example = {"  "}nestor quickstart
help-quickstart-model = Имя вложенной модели или папка модели
help-quickstart-max-positions = Оценить примерно столько лексем кода, не больше, равномерно по конфигурации

help-corpus = Собрать обучающий корпус и посмотреть, что в нём
help-corpus-example = {"  "}nestor corpus build ../ssl ../erp --withhold erp --out data/corpus
help-corpus-build = Прочитать источники, убрать повторы, обучить токенизатор, записать токены и опись
help-corpus-build-example = {"  "}nestor corpus build ../ssl ../erp.git --withhold erp --out data/corpus
help-corpus-build-sources = Папки, выгрузки конфигуратора, проекты EDT или bare-репозитории git; ИМЯ=ПУТЬ даёт источнику имя
help-corpus-build-list = Таблица репозиториев (столбцы repository, role, licence, note через табуляцию) вместо длинной команды
help-corpus-build-mirrors = Папка с репозиториями таблицы: owner/name лежит в owner+name/repo
help-corpus-build-out = Папка, куда записать корпус
help-corpus-build-withhold = Имя источника, на котором сеть не обучают: по нему подбирают смесь. Можно повторять
help-corpus-build-vocab = Размер словаря токенизатора
help-corpus-build-seed = Зерно всех случайных выборов
help-corpus-stats = Показать источники, лицензии, файлы, методы, повторы и токены корпуса
help-corpus-stats-example = {"  "}nestor corpus stats data/corpus
help-corpus-stats-corpus = Папка корпуса
help-corpus-sample = Напечатать случайные методы корпуса
help-corpus-sample-example = {"  "}nestor corpus sample data/corpus --samples 3 --seed 1
help-corpus-sample-corpus = Папка корпуса
help-corpus-sample-samples = Сколько методов
help-corpus-sample-seed = Зерно выбора

help-train = Обучить модель на корпусе, подобрать смесь и записать папку модели
help-train-example =
    {"  "}nestor train --corpus data/corpus --model nano --minutes 60 --out runs/first
    {"  "}nestor train --corpus data/corpus --model nano --minutes 60 --out runs/first --resume
help-train-corpus = Папка корпуса
help-train-model = Размер сети
help-train-levels = Уровни (ступени сети), от 1 до 3
help-train-samples = Учить на стольких случайных методах, а не на целых проектах
help-train-epochs = Проходы по обучающим токенам (или по выбранным методам)
help-train-device = Где считать
help-train-out = Папка для журнала, контрольных точек и модели
help-train-resume = Продолжить с последней контрольной точки в папке
help-train-from = Начать с весов этой папки модели, а не со случайных
help-train-finish = Не учить, а доделать папку остановленного обучения (счётчики, смесь, карточка)
help-train-max-tokens = Закончить после стольких токенов
help-train-only-names = Вместе с --finish: подобрать только вес имён, которые предлагают метаданные, на этих исходниках
help-train-only-gates = Вместе с --finish: счётчики папки не трогать, подобрать только смесь
help-train-only-memories = Вместе с --finish: подобрать только начало памяти уровней 2 и 3 и то, как быстро она учится и забывает
help-train-seq-len = Токенов в окне
help-train-batch = Окон в пакете
help-train-rename = Доля проходов по проекту, в которых его идентификаторы получают другие имена [по умолчанию 0.3; с --samples 0]
help-train-rate = Умножить все скорости обучения на это число; меньше 1, чтобы продолжить уже обученные веса
help-train-seed = Зерно всех случайных выборов
help-train-minutes = Закончить после стольких минут обучения

help-complete = Дописать код в указанном месте файла
help-complete-example =
    {"  "}nestor complete examples/trade/cf/CommonModules/Продажи/Ext/Module.bsl:10:5
    {"  "}nestor complete Module.bsl:10:5 --speed fast --learn src/cf
help-complete-position = Файл, строка и столбец, считая от 1; столбец — в символах
help-complete-speed = Какая часть модели отвечает
help-complete-learn = Сначала выучить код: папку, выгрузку конфигуратора, проект EDT или репозиторий git
help-complete-model = Имя вложенной модели или папка модели
help-complete-stop = Где закончить
help-complete-max-tokens = Закончить после стольких токенов

help-eval = Измерить точность на коде, которого модель не видела
help-eval-example =
    {"  "}nestor eval ../my-configuration --baseline ngram --baseline-corpus data/corpus
    {"  "}nestor eval data/corpus --protocol samples --samples 500
    {"  "}nestor eval ../my-repository --protocol commits --baseline openai:http://127.0.0.1:8080:qwen2.5-coder
help-eval-sources = Исходный код; для протокола «samples» — папка корпуса. В корпусе оцениваются проекты dev, а если их нет — отложенные
help-eval-list = Таблица репозиториев (столбцы repository, role, licence, note); оцениваются те, что с ролью dev
help-eval-mirrors = Папка с репозиториями таблицы: owner/name лежит в owner+name/repo
help-eval-protocol = Как выбран оцениваемый код
help-eval-levels = Какие уровни оценить: например, 0,1,2,3,all или 1..3
help-eval-baseline = Оценить рядом с моделью точку отсчёта: одни счётчики или, для --protocol commits, модель с интерфейсом OpenAI (POST /v1/completions), которая получит текст вокруг строк; её ключ — в переменной NESTOR_OPENAI_KEY
help-eval-max-bytes = Читать только первые файлы каждого источника, до стольких байтов
help-eval-commits = Для --protocol commits: выучить состояние за столько коммитов до последнего
help-eval-max-lines = Для --protocol commits: написать заново не больше стольких строк, равномерно по всем
help-eval-metadata = Подмешивать имена, которые предлагают метаданные (столбец «+ проект»); «off» лишь отделяет места, которые им известны
help-eval-folds = Сколько частей протокола «maintenance» оценивать, от 1 до 10
help-eval-learned-share = Какую долю остальных частей изучает протокол «maintenance», от 0 до 1
help-eval-code = Чей код выгрузки изучается и оценивается: весь (all) или без кода, который принадлежит или может принадлежать поставщику (own)
help-eval-memories = Память, которая учится вместе с проектом: вся, и открытый файл учит её по мере чтения (all); какая есть у дополнения (served: открытый файл учит её в конце); без одной части, в том числе без памяти уровня 1; никакой (off)
help-eval-baseline-corpus = Корпус, обучающие источники которого точка отсчёта учит сначала
help-eval-max-positions = Оценить примерно столько лексем кода, не больше, равномерно
help-eval-samples = Сколько методов взять для протокола «samples»
help-eval-seed = Зерно всех случайных выборов
help-eval-model = Имя вложенной модели или папка модели

help-models = Посмотреть на папки моделей
help-models-example = {"  "}nestor models show tiny
help-models-list = Перечислить вложенные модели
help-models-list-example = {"  "}nestor models list
help-models-show = Показать одну модель и проверить её файлы
help-models-show-example = {"  "}nestor models show tiny
help-models-show-model = Имя вложенной модели или папка модели

help-quantize = Записать папку модели, матрицы которой — коды не более 8 бит
help-quantize-example = {"  "}nestor quantize runs/first --out models/first --check src/cf
help-quantize-model = Имя вложенной модели или папка модели
help-quantize-out = Создаваемая папка; её не должно быть
help-quantize-check = Сравнить обе модели на этой кодовой базе: как часто каждый выход называет тот же токен
help-quantize-max-bytes = Читать только первые файлы, не больше стольких байт
help-quantize-bits = Бит на код, от 4 до 8: меньше бит — меньше файл и точность, скорость та же
help-quantize-pack = Сжать веса (weights.safetensors.zst)
help-serve = Обслуживать редакторы по HTTP: точки OpenAI, llama.cpp и для редакторов, песочница, показатели, метрики
help-serve-example =
    {"  "}nestor serve
    {"  "}nestor serve --config server.toml
help-serve-config = Файл настроек (TOML); см. docs/operations.md
help-serve-listen = Адрес и порт вместо названных в настройках
help-serve-model = Имя вложенной модели или папка модели вместо названной в настройках
help-keys = Создать, перечислить и отозвать ключи сервера
help-keys-example = {"  "}nestor keys add ivanov --rights complete,learn --projects erp
help-keys-add = Создать ключ; он показывается один раз
help-keys-add-example = {"  "}nestor keys add ivanov --rights complete,learn --projects erp
help-keys-add-name = Кому
help-keys-add-rights = Что он разрешает: complete, learn, train, admin; несколько через запятую
help-keys-add-projects = Какими проектами можно пользоваться, через запятую; иначе всеми
help-keys-list = Перечислить ключи: имена, права, проекты
help-keys-list-example = {"  "}nestor keys list
help-keys-revoke = Отозвать ключ
help-keys-revoke-example = {"  "}nestor keys revoke ivanov
help-keys-revoke-name = Чей ключ
help-keys-add-file = Файл ключей; по умолчанию в папке данных пользователя
help-keys-list-file = Файл ключей; по умолчанию в папке данных пользователя
help-keys-revoke-file = Файл ключей; по умолчанию в папке данных пользователя
help-keys-add-config = Настройки сервера, которые называют файл ключей
help-keys-list-config = Настройки сервера, которые называют файл ключей
help-keys-revoke-config = Настройки сервера, которые называют файл ключей
help-lsp = Обслуживать редактор как языковой сервер, через stdin и stdout
help-lsp-example = {"  "}nestor lsp --project erp
help-lsp-speed = Скорость дополнений
help-lsp-server = Обращаться к этому серверу (nestor serve), а не к модели в самой программе
help-lsp-key-file = Файл с ключом сервера; иначе читается переменная NESTOR_KEY
help-lsp-ca = Сертификаты центров, которыми подписан сертификат сервера, PEM, в дополнение к системным
lsp-error-no-key = в нём нет ключа
help-lsp-model = Имя вложенной модели или папка модели
help-lsp-stdio = Принимается и не используется: stdin и stdout и так заняты

help-bench = Измерить скорость
help-bench-example = {"  "}nestor bench decode
help-bench-learn = Измерить, сколько стоит обучение уровней 2 и 3 и что оно даёт
help-bench-learn-example = {"  "}nestor bench learn src/cf --foreign other/cf --pieces 100000
help-bench-learn-source = Кодовая база для обучения; по умолчанию вложенная конфигурация
help-bench-learn-foreign = Кодовая база, которая не изучается: сколько забывается
help-bench-learn-then = Кодовая база, которой учат потом: сколько забывается из первой
help-bench-learn-pieces = Сколько токенов выучить
help-bench-learn-plot = Нарисовать кривую потерь в этот файл
help-bench-learn-mixtures = Измерить и то, что мусор и код из --then делают с дополнением целиком, вместе со счётчиками
help-bench-learn-whole = Выучить весь источник как проект и измерять при этом время дополнений
help-bench-learn-max-bytes = Читать только первые файлы, до стольких байтов
help-bench-learn-model = Имя вложенной модели или папка модели
help-bench-serve = Измерить дополнения по HTTP: рядом с этим процессом, под нагрузкой, под тройной нагрузкой, рядом с простаивающими соединениями
help-bench-serve-example = {"  "}nestor bench serve --seconds 30
help-bench-serve-source = Где дописывать; иначе вложенная конфигурация
help-bench-serve-requests = Сколько дополнений измерить на каждой скорости, одно за другим
help-bench-serve-seconds = Секунд каждой нагрузки
help-bench-serve-idle = Простаивающих соединений
help-bench-serve-soak = В конце нагружать столько секунд и сравнить память сервера до и после
help-bench-serve-model = Имя вложенной модели или папка модели
help-bench-complete = Измерить дополнения в открытых документах: по одному, под нагрузкой и рядом с llama.cpp
help-bench-complete-example = {"  "}nestor bench complete --random tiny --profile --peer llama-cpp
help-bench-complete-source = Кодовая база, в которой дополнять; по умолчанию вложенная конфигурация
help-bench-complete-model = Имя вложенной модели или папка модели
help-bench-complete-random = Взять случайные веса этого размера вместо весов модели
help-bench-complete-instructions = Не использовать более новых команд процессора: как было бы на старом
help-bench-complete-workers = Сколько запросов обслуживать сразу (иначе по одному на ядро); больше, чем ядер, делят проходы по весам
help-bench-complete-seconds = Секунд на каждое измерение
help-bench-complete-documents = Открыть столько документов и сказать, сколько они занимают
help-bench-complete-project = Дополнять с тем, чему научил этот проект, в его коде по пути SRC
help-bench-complete-profile = Показать, на что уходит время дополнения
help-bench-complete-typing = Печатать в модуле: сколько стоит каждая правка и те же ли ответы, что у документа, открытого заново
help-bench-complete-peer = Измерить другой движок на случайных весах того же объёма
help-bench-complete-peer-environment = Папка окружения Python, которое для этого создаётся
help-bench-decode = Измерить время дополнения на каждой скорости
help-bench-decode-example = {"  "}nestor bench decode --requests 100
help-bench-decode-model = Имя вложенной модели или папка модели
help-bench-decode-requests = Сколько дополнений измерить на каждой скорости
help-bench-decode-source = Где дописывать; иначе вложенная конфигурация

## Неверный вызов

error-label = ошибка:
use-unknown-argument = неизвестный параметр или аргумент «{$argument}».
use-unknown-command = неизвестная команда «{$command}».
use-value-missing = параметру «{$argument}» нужно значение.
use-value-not-allowed = «{$value}» — не значение параметра «{$argument}»; можно: {$allowed}.
use-value-wrong = значение «{$value}» параметра «{$argument}» неверно: {$reason}.
use-argument-missing = не хватает: {$argument}.
use-command-missing = не хватает команды.
use-conflict = «{$argument}» не сочетается с «{$other}».
use-suggestion = Возможно, «{$suggestion}»?
use-see-help = Справка: --help.

## Единицы

unit-bytes = Б
unit-kilobytes = кБ
unit-megabytes = МБ
unit-gigabytes = ГБ
unit-milliseconds = мс
unit-seconds = с
unit-minutes = мин
unit-hours = ч

## Папка Nestor и модели

home-not-a-folder = NESTOR_HOME — это {$path}, а такой папки нет; укажите папку, в которой лежат models/ и examples/.
home-not-found = папка с models/ и examples/ не найдена ни над программой, ни над текущей папкой; укажите её в NESTOR_HOME.
model-folder-missing = папки модели {$path} нет; см. «nestor models list».
model-unknown = модели «{$name}» нет: папка {$path} не существует; см. «nestor models list» или укажите папку в --model.
models-none = в {$path} моделей нет
models-name = модель
models-levels = уровни
models-width = ширина
models-numbers = числа
models-size = размер
models-damaged = повреждена
models-file = файл
models-metrics = измерено при создании модели:
models-card = данные, лицензии, назначение и границы применимости: {$path}
models-sizes = параметров: {$parameters}, числа {$numbers}; уровней {$levels} по {$blocks} блока, ширина {$width}, словарь {$vocabulary}

## nestor train

train-no-budget = скажите, когда закончить обучение: --epochs, --minutes или --max-tokens.
train-counting = счёт n-грамм
train-contexts = поиск длинных контекстов
train-pruning = отбор n-грамм
train-names-gate = имена, смеситель {$gate}: {$loss} нат на токен, примеров {$examples} (при равных весах {$uniform}, при лучшей части каждый раз {$best})
train-fitting = подбор смеси
train-starting = поиск начала
train-no-rates = в корпусе нет отложенного проекта с кодом, новым для модели: не на чем подобрать, как быстро учится её память.
train-rates-delta = шаг 2
train-rates-delta-decay = затухание 2
train-rates-mlp = шаг 3
train-rates-mlp-decay = затухание 3
train-rates-period = период 3
train-rates-loss = нат на токен
train-no-withheld = В корпусе нет отложенных проектов (corpus build --withhold), подбирать смесь не на чем: все части весят одинаково.
train-progress = обучение
train-header = {$model}, уровней {$levels}, параметров {$parameters}; в корпусе токенов: {$tokens}; {$device}, потоков {$threads}
train-resumed = продолжаю с шага {$step}
train-state = шаг {$step}, токенов {$tokens}, потери {$loss}, {$rate} токенов/с, память {$memory}
train-left = осталось {$time}
train-level = уровень {$level}: потери {$loss}, точность {$accuracy} %
train-validation = на отложенном коде, шаг {$step}: {$levels}
train-stopped = остановлено; «--resume» продолжит с контрольной точки в {$path}
train-done = шагов {$steps}, токенов {$tokens} за {$time} ({$rate} токенов/с, память до {$memory}); на отложенном коде:
train-model-at = модель: {$path}

## nestor corpus

corpus-withhold-unknown = --withhold {$name}: источника с таким именем нет; источник зовётся последней частью пути или так, как сказано в ИМЯ=ПУТЬ.
corpus-source = источник
corpus-role = роль
corpus-licence = лицензия
corpus-files = файлы
corpus-copies = копии
corpus-size = размер
corpus-methods = методы
corpus-unique = разные
corpus-near = почти копии
corpus-tokens = токены
corpus-total = всего
corpus-skipped = Пропущено:
corpus-skipped-more = {$source}: ещё {$count}, см. manifest.json
corpus-built = {$size} кода за {$time}, {$rate} МБ/с; корпус: {$path}
corpus-russian = русский
corpus-english = английский
corpus-language = {$language}: файлов {$files}, {$size}, токенов {$tokens}, байт на токен {$bytes}
corpus-method-lengths = токенов в методе: медиана {$median}, в 90 % до {$p90}, в 99 % до {$p99}, самый длинный {$longest}
corpus-stored = словарь {$vocabulary}, частей {$shards}
corpus-phase-listing = список файлов
corpus-phase-reading = чтение
corpus-phase-training = обучение токенизатора
corpus-phase-encoding = разбор на токены
corpus-phase-finishing = завершение

## Ошибки

error-panic = Nestor нарушил собственное правило; пожалуйста, сообщите строки выше вместе с командой.
error-file = {$path}: {$reason}.
corpus-error-missing = {$path} не существует; проверьте путь.
corpus-error-no-modules = в {$path} нет ни одного файла .bsl или .os; укажите папку, выгрузку, проект EDT или репозиторий git с модулями.
corpus-error-occupied = в {$path} лежит не корпус; укажите другую папку или очистите эту.
corpus-error-busy = в {$path} сейчас пишет другая сборка; дождитесь её или укажите другую папку.
corpus-error-no-commit = в репозитории git {$path} нет коммита, на который указывает HEAD; сделайте коммит или перейдите на ветку, где он есть.
corpus-error-git = репозиторий git {$path} повреждён: {$reason}; загрузите его заново.
corpus-error-corrupt = {$path} повреждён: {$reason}; соберите корпус заново.
learn-error-shared = {$given} и {$other} содержат одни и те же файлы, и они считались бы дважды; укажите что-то одно.
learn-error-nested = {$given} и {$learned}, изученный как {$root}, содержат одни и те же файлы, и они считались бы дважды; изучайте {$learned} или сперва забудьте его: nestor project forget {$project} {$root}.
learn-damaged = {$path}: изученное из него повреждено и забыто; файл изучается снова, если он есть в источнике.
corpus-error-same-name = два источника зовутся «{$name}»; назовите один из них через ИМЯ=ПУТЬ.
corpus-error-too-few-methods = запрошено методов: {$asked}, а разных в корпусе {$available}; попросите меньше.
model-error-file = {$path} использовать нельзя: {$reason}; целые модели покажет «nestor models list».
model-error-version = {$path}: format_version — {$found}, а программа читает {$supported}; возьмите программу и модель одной версии.
model-error-hash = {$path} повреждён или взят от другой модели: sha256 — {$found}, а в model.json {$field} = {$expected}; скопируйте папку модели заново.
model-error-corrupt = {$what}: файл повреждён ({$reason}); скопируйте папку модели заново.
model-error-tensor = {$path} повреждён: тензор {$tensor}: {$reason}; скопируйте папку модели заново.
train-error-occupied = в {$path} уже есть обучение; продолжите его с --resume или выберите другую папку.
train-error-checkpoint = контрольную точку {$path} использовать нельзя: {$reason}; выберите другую папку или удалите её.
train-error-start = обучение не может начаться с модели {$path}: {$reason}; не указывайте --from или назовите модель, обученную на этом корпусе.
train-error-record = {$path} не читается: {$reason}; укажите в --out папку обучения.
train-error-not-finite = шаг {$step}: {$place} — не конечное число; продолжите с последней контрольной точки (--resume) или учите с другим --seed.

## Обучение и дополнение

learning-bar = обучение
reading-bar = чтение
learned-files = Выучено файлов: {$files}, {$size}, токенов: {$pieces}, за {$time}; пропущено: {$skipped}.
file-skipped = пропущен {$path}: {$reason}
file-unreadable = {$path} не читается: {$reason}; проверьте путь.
file-no-text = {$path} — не текст модуля: {$reason}; Nestor читает файлы .bsl и .os в UTF-8.
cursor-line-outside = {$path}: строка {$line} за концом файла, в котором строк: {$lines}.
cursor-column-outside = {$path}: столбец {$column} за концом строки {$line}; её последний столбец — {$columns}.
complete-nothing = Здесь предложить нечего.
complete-prose = Курсор стоит в тексте для людей: в нём ничего не предлагается.
complete-facts = {$speed}: {$latency}, токенов контекста: {$context}, уверенность {$confidence} %; {$parts}
part-corpus = счётчики корпуса
part-project = счётчики проекта
part-nearest = похожие места
part-names = имена метаданных
part-file = счётчики файла
part-level = уровень {$level}

## Точность

accuracy-level = уровень
accuracy-none = ничего не выучено
accuracy-file = + открытый файл
accuracy-dynamic = + проект
accuracy-top5 = из 5
accuracy-identifier-mrr = имена, MRR
accuracy-bits = бит/символ
accuracy-ngram = n-граммы, точка отсчёта
accuracy-cache = 0: одни счётчики
accuracy-all = все уровни
accuracy-one-level = {$level}
accuracy-legend =
    Строгая точность в %, в скобках — 95-процентный интервал по файлам: лексема засчитана, если верны все её части и она кончается где надо.
    Слева направо растёт то, что можно было выучить; файлы проекта учатся в порядке путей, каждый — после своей оценки.
eval-progress = файлов {$files}/{$of}
eval-source = {$name}: файлов {$files}, лексем кода {$tokens}, из них вне обучающих данных {$own}, оценено {$scored}
eval-commits = {$name}: строк {$lines}, коммитов {$commits}; сэкономлено нажатий {$saved} % (простой список имён: {$list} %), строк целиком {$whole} %, верных среди 30 % самых уверенных: {$precision} %, выдуманных имён {$invented} %
eval-commits-peer = {$name}, {$level}: сэкономлено нажатий {$saved} %, строк целиком {$whole} %, верных среди 30 % самых уверенных: {$precision} %, выдуманных имён {$invented} %; запросов без ответа: {$failed} из {$asked}
eval-ngram-writes-nothing = --baseline ngram оценивает лексемы и не пишет строк: с --protocol commits укажите openai:URL:MODEL или ничего.
eval-peer-writes-lines = --baseline openai — только для --protocol commits: остальные протоколы оценивают лексемы, а сервер делит текст на свои.
eval-peer-learns-nothing = --baseline-corpus — только для --baseline ngram: модель с интерфейсом OpenAI здесь ничего не учит.
eval-peer-gone = {$url} (--baseline): {$reason}. Запущен ли сервер и знает ли он эту модель?
eval-peer-without = {$url} не принимает «{$field}»; запросы шли без этого поля.
eval-peer-failed = {$url}: ответ пришёл не на все запросы; причина последнего отказа: {$reason}
eval-mean = среднее по источникам
eval-needs-corpus = {$path} — не корпус; протоколу «samples» нужна папка, которую записал «nestor corpus build».
eval-nothing-withheld = в корпусе {$path} нет проектов с ролью dev или withheld; укажите исходный код или соберите корпус с --withhold.
eval-baseline-untaught = Точка отсчёта не знает обучающего корпуса (--baseline-corpus): она считает только измеряемый код.
eval-baseline-learning = точка отсчёта
eval-nothing-to-score = {$name}: оценивать нечего: {$reason}.

## nestor bench

bench-no-places = в {$path} нет ни одного оператора, который можно дописать; укажите исходный код с методами.
bench-what = {$model}: дополнений без сессии на каждую скорость: {$requests} (контекст читается целиком, до конца строки, не больше 16 токенов), потоков {$threads}
bench-speed = скорость
bench-median = медиана
bench-p95 = 95 %
bench-p99 = 99 %
bench-prefill = чтение
bench-decode = письмо
bench-prefill-rate = прочитано токенов/с
bench-decode-rate = написано токенов/с
bench-complete-seconds = --seconds {$value}: нужно положительное число.
bench-complete-bar = измерение
bench-complete-what = {$model}, {$precision} ({$instructions}): дополнения в открытых документах, не меньше 16 новых частей в каждом, до конца строки, не больше 16 частей; сразу {$workers}; модель открывается за {$cold} мс. Миллисекунды, 50 / 95 / 99 %
bench-complete-alone = по одному
bench-complete-cold = только что открыт
bench-complete-rate = наибольшая частота, 1/с
bench-complete-load = при 0,7 от неё (частота)
bench-complete-target = при 0,7 от цели (частота)
bench-complete-bandwidth = от пропускной способности
bench-complete-prepare = текст
bench-complete-read = чтение
bench-complete-blocks = блоки
bench-complete-head = голова
bench-complete-memories = памяти
bench-complete-counts = счётчики
bench-complete-gate = смесь
bench-complete-sampling = выбор
bench-complete-other = прочее
bench-complete-open = открыто документов
bench-complete-document = документ
bench-complete-resident = процесс
bench-complete-context = контекст
bench-complete-threads = потоков
bench-complete-peer-decode = llama.cpp, мс на токен
bench-complete-our-decode = мы (1 поток)
bench-complete-peer-read = llama.cpp читает, 1/с
bench-complete-our-read = мы (1 поток)
bench-typing-edit = правка
bench-typing-steps = правок
bench-typing-latency = до ответа, 50 / 95 %
bench-typing-read = чтение, 50 %
bench-typing-pieces = прочитано частей
bench-typing-different = других ответов
bench-typing-open = открытие
bench-typing-insert = напечатан знак
bench-typing-delete = стёрт знак
bench-typing-undo = слово отменено или возвращено
bench-typing-paste = вставлен блок
bench-typing-jump = переход
bench-complete-peer-failed = другой движок не измерен: {$reason}

## nestor quickstart

quickstart-title = Nestor {$version}: {$model}, параметров {$parameters} млн, уровней {$levels}
quickstart-configuration = вложенная конфигурация
quickstart-no-place = {$path} не такой, каким поставлялся; возьмите папку examples/trade заново.
quickstart-place = Дописываю строку {$line} в {$file}. Остаток строки отрезан, а выученное по самому этому файлу не используется:
quickstart-speed = скорость
quickstart-latency = время
quickstart-written = в файле
quickstart-before = до обучения
quickstart-memories =
    Уровни 2 и 3 выучили токенов: {$pieces}, файлов: {$files}, за {$time}, токенов в секунду: {$rate}. Сколько бит на токен теряют
    их выходы без счётчиков на файлах, которым их не учили (токенов: {$scored}):
quickstart-untaught = ничего не выучено
quickstart-taught = файлы выучены
quickstart-change = изменение, %
quickstart-accuracy = Точность на конфигурации, оценено {$scored} из {$tokens} лексем кода:
quickstart-baseline = n-граммы считают только эту конфигурацию. В строке 0 есть и счётчики обучающего корпуса, которые поставляются с моделью.
quickstart-time = Всё вместе заняло {$time}.
quickstart-next = На своём коде: nestor learn ПАПКА --project ИМЯ, затем nestor complete ФАЙЛ:СТРОКА:СТОЛБЕЦ --project ИМЯ; nestor eval ПАПКА

## nestor learn, nestor project

help-every-project = Имя проекта: буквы, цифры, точка, дефис, подчёркивание
help-every-memory = Папка проектов (иначе NESTOR_MEMORY, иначе папка данных пользователя)
help-every-no-wait = Если проект меняет другой процесс, не ждать его, а завершиться с ошибкой

help-learn = Научить проект исходному коду или тому, что в нём изменилось; выученное сохраняется
help-learn-example =
    {"  "}nestor learn ../my-configuration --project erp
    {"  "}nestor learn cf=src/cf ext=src/cfe --project erp
    {"  "}nestor learn --project erp --teach all
    {"  "}nestor complete src/cf/CommonModules/Продажи/Ext/Module.bsl:42:17 --project erp
help-learn-sources = Папки, выгрузки Конфигуратора, проекты EDT или репозитории git без рабочей копии; ИМЯ=ПУТЬ даёт источнику имя или говорит, где известный источник лежит теперь. Без источников известный проект учится дальше
help-learn-teach = Обучить уровни 2 и 3 примерно на стольких токенах или на всех оставшихся (all); следующий вызов продолжит, и серверы тоже, пока никто не работает. 0 — только счётчики
help-learn-full = Читать все файлы, и те, что не менялись с прошлого раза, судя по размеру и времени, объекту git или версии в выгрузке Конфигуратора
help-learn-role = Чем источники служат проекту (иначе определяется, где по ним видно)
help-learn-model = Имя вложенной модели или папка модели; текст делит её токенизатор

help-complete-project = Дополнять с тем, что выучил проект (nestor learn)

help-project = Показать проекты и отменить выученное
help-project-example =
    {"  "}nestor project show erp --history
    {"  "}nestor project forget erp cf/CommonModules/Секреты
help-project-list = Перечислить проекты
help-project-list-example = {"  "}nestor project list
help-project-show = Показать проект: корни, размер, историю
help-project-show-example = {"  "}nestor project show erp --history
help-project-show-history = Показать и все изменения с номерами
help-project-forget = Забыть файл или папку насовсем: они больше не учитываются, их текст стирается из папки проекта
help-project-forget-example = {"  "}nestor project forget erp cf/CommonModules/Секреты
help-project-forget-paths = Пути в проекте: имя корня, затем путь внутри корня
help-project-rollback = Вернуться к состоянию после прежнего изменения; история остаётся, забытое остаётся забытым
help-project-rollback-example = {"  "}nestor project rollback erp 120
help-project-rollback-change = Номер изменения из «project show --history»; 0 — пустой проект
help-project-export = Записать проект с историей в один файл; в нём будет исходный текст
help-project-export-example = {"  "}nestor project export erp erp.nestor
help-project-export-file = Файл для записи; его ещё не должно быть
help-project-import = Создать проект из записанного файла
help-project-import-example = {"  "}nestor project import erp erp.nestor
help-project-import-file = Файл, который записала команда «project export»
help-project-import-model = Модель, с которой проект будет работать: имя вложенной модели или папка модели
help-project-remove = Удалить проект со всем выученным
help-project-remove-example = {"  "}nestor project remove erp

learn-root = {$root}: новых {$new}, изменённых {$changed}, прежних {$unchanged}, удалённых {$removed}; пропущено: {$skipped}
learn-filtered = {"  "}придержано: только в счёт {$counts}, ничему не учат {$nothing} (имена и причины — в --json)
learn-origins = своего кода файлов: {$own}, {$ownsize}; неизвестно чьего: {$unknown}, {$unknownsize}; кода поставщика: {$vendor}, {$vendorsize}
learn-metadata = метаданные: объектов {$objects}, форм {$forms}, файлов {$files}, из них прочитано {$read} за {$time}; замечаний: {$problems}, новых: {$new}
learn-metadata-more = и ещё {$count} (все — в --json)
learn-metadata-anew = {$reason}. Метаданные читаются заново.
metadata-bar = метаданные
learn-read = прочитано {$read}; не менялось и не читалось {$unchanged}
learn-work = выучено {$size}, токенов: {$pieces}, за {$time} ({$rate} токенов/с)
learn-project = проект {$name}: файлов {$files}, токенов {$pieces}, последнее изменение {$change}
project-loading = загрузка проекта
project-loaded = Проект {$name}: файлов {$files}, токенов {$pieces}, загружен за {$time}.
project-damaged = Проект {$name}: уровни 2 и 3 не работают, обучение создаст их заново: {$reason}
project-metadata-damaged = Проект {$name}: сведения о конфигурациях не работают, `nestor learn SRC` прочтёт их снова: {$reason}
project-waiting = Проект {$name} меняет другой процесс; жду его (с --no-wait была бы ошибка).
project-cut = Проект {$name}: прежний запуск оборвался; отрезано незаконченных байтов: {$bytes}, повторное обучение их наверстает.
project-no-home = папка данных пользователя неизвестна; укажите папку в --memory или NESTOR_MEMORY.
project-none = в {$path} нет проектов
project-name = проект
project-files = файлы
project-pieces = токены
project-size = размер
project-changed = изменён
project-root = корень
project-role = роль
project-location = откуда выучен
project-change = номер
project-time = когда
project-operation = что
project-about = о чём
project-facts = {$path}: файлов {$files}, токенов {$pieces}, из них уровням 2 и 3 выучено {$taught}, {$size} на диске, изменений {$changes}, создан {$created}
project-quarantine = В карантине, не учат уровни 2 и 3, пока не изменятся: {$files}
project-op-root = корень
project-op-learn = выучено
project-op-again = выучено ранее
project-op-remove = удалено
project-op-forget = забыто
project-op-rollback = откат
project-op-note = заметка
project-forgotten = {$path}: забыто файлов: {$files}, стёрто текстов: {$texts}
project-rolled-back = проект {$name} теперь такой, каким был после изменения {$change}: восстановлено файлов {$restored}, убрано {$removed}, теперь {$files}
project-lost = Забыты позже, поэтому не восстановлены: {$count}
project-exported = проект {$name}: файлов {$files}, записаны в {$path}, {$size}
project-export-warning = В {$path} лежит исходный текст проекта; храните его так же, как исходный код.
project-imported = проект {$name}: файлов {$files}, токенов {$pieces}
project-removed = проект {$name} удалён
project-error-name = «{$name}» не может быть именем проекта: {$reason}; в имени бывают буквы, цифры, точки, дефисы и подчёркивания.
project-name-empty = оно пустое
project-name-long = в нём больше 64 знаков
project-name-dot = оно начинается или кончается точкой
project-name-device = в Windows так зовётся устройство
project-name-character = в нём есть «{$character}»
project-error-missing = в {$path} нет проекта {$name}; см. «nestor project list» или создайте его: «nestor learn ИСТОЧНИК --project {$name}».
project-error-exists = {$path} уже существует; укажите другое имя или сначала удалите.
project-error-busy = проект {$name} сейчас меняет другой процесс; дождитесь его или не указывайте --no-wait.
project-error-version = {$path}: format_version — {$found}, а программа читает {$supported}; возьмите программу той версии, которая это записала.
project-error-corrupt = {$path} повреждён: {$reason}; изучите его источники с --full, импортируйте копию или удалите проект и выучите его заново.
project-error-tokenizer = проект {$name} выучен с токенизатором {$found}, а у модели {$expected}; возьмите модель с тем же токенизатором или учите под другим именем.
project-error-vocabulary = словарь проекта {$name} — {$found}, а у модели {$expected}; возьмите модель с тем же словарём или учите под другим именем.
project-error-root = у проекта есть корень {$name} из {$learned}, и {$given} получил бы то же имя; напишите ДРУГОЕ={$given} или, если источник переехал, {$name}={$given}.
project-error-not-learned = проект {$name} ничего не учил в {$path}; путь начинается с имени корня, см. «nestor project show {$name}».
project-error-change = у проекта {$name} нет изменения {$change}; последнее — {$last}.
project-error-not-erased = в {$path} лежит забытый текст, а удалить файл нельзя: {$reason}; закройте программы, которые его держат, и повторите команду или удалите его сами.
teaching-bar = обучение уровней 2 и 3
learn-taught = Уровни 2 и 3: за {$time} выучено токенов: {$pieces} ({$rate} токенов/с); они знают всё.
learn-taught-partly = Уровни 2 и 3: за {$time} выучено токенов: {$pieces} ({$rate} токенов/с); осталось {$left}. Та же команда продолжит с этого места, `--teach all` — до конца, и серверы тоже, пока никто не работает.
learn-refused = Отрезков обучения, которые навредили и отменены: {$refused}; файлов в карантине, которые ничему не учат уровни 2 и 3, пока не изменятся: {$files}
quarantine-project = {$path}: потери на другом коде проекта выросли на {$rise}
quarantine-general = {$path}: потери на коде вне проекта выросли на {$rise}
quarantine-broken = {$path}: результаты перестали быть числами

## nestor bench learn

bench-learn-bar = измерение
bench-learn-needs-levels = у модели {$name} меньше трёх уровней; назовите модель с тремя через --model.
bench-learn-too-few = в {$path} слишком мало файлов: часть изучается, каждый десятый остаётся для проверки.
bench-learn-what = {$model}: уровни 2 и 3 учатся, потоков: {$threads}, в памяти {$bytes}; биты на токен у выходов 2 и 3, без счётчиков
bench-learn-memories = что учится
bench-learn-us = мкс на токен
bench-learn-rate = токенов/с
bench-learn-reading = ничего (чтение)
bench-learn-level2 = уровень 2
bench-learn-level3 = уровень 3
bench-learn-episodic = похожие места
bench-learn-all = всё
bench-learn-taught = выучено токенов
bench-learn-own2 = своё, 2
bench-learn-own3 = своё, 3
bench-learn-foreign2 = чужое, 2
bench-learn-foreign3 = чужое, 3
bench-learn-then = после другой кодовой базы, как отдельного корня
bench-learn-then-together = то же одним корнем
bench-learn-garbage = пятая часть — мусор
bench-learn-mixture = счётчики, уровни и ближайшие состояния
bench-learn-mixture2 = уровень 2, бит на символ
bench-learn-mixture-all = все уровни, бит на символ
bench-learn-mixture-untaught = изучен только открытый файл
bench-learn-mixture-clean = изучено без мусора
bench-learn-forgotten-before = источник изучен
bench-learn-forgotten-after = потом и другой код
bench-learn-forgotten-rise = забыто
bench-learn-harm = хуже, чем без него
bench-learn-harm-alone = один мусор
bench-learn-packed = упакованные данные
bench-learn-minified = сжатый код
bench-learn-generated = сгенерированный код
bench-learn-languages = другие языки
bench-learn-prose = текст
bench-learn-copies = один и тот же файл
bench-learn-changing = он же, каждый раз с другой строкой
plot-not-written = Не удаётся записать {$path}: {$reason}. Укажите файл в существующей папке.
bench-learn-plot-title = Уровни 2 и 3 во время обучения проекту
bench-learn-plot-bits = бит на токен
bench-whole-io = Не удаётся разложить файлы в папке временных файлов: {$reason}. Освободите место или задайте TMPDIR.
bench-whole-no-places = В источнике нет операторов для дополнения; укажите источник с кодом в методах.
bench-whole-failed = Обучение не удалось: {$reason}
bench-whole-state = дополнения на fast
bench-whole-idle = без обучения
bench-whole-learning = во время обучения
bench-whole-what = {$size} в {$files} файлах, {$pieces} токенов: полезно через {$useful}, уровни 2 и 3 готовы через {$done} ({$rate} токенов/с); {$disk} на диске, не более {$memory} памяти

## nestor quantize

quantize-written = Записано: {$path}, весов было {$before}, стало {$after}.
quantize-exists = {$path} уже существует; назовите папку, которой нет.
quantize-exit = выход
quantize-positions = позиций
quantize-same = тот же токен
quantize-loss = потери до, нат
quantize-loss-int8 = потери после, нат
quantize-cannot-write = не удаётся записать {$path}: {$reason}

## nestor serve, nestor keys

serve-listening = Nestor слушает {$url} ({$about}). Песочница: {$url}/playground, показатели: {$url}/dashboard. Остановить: Ctrl-C.
serve-open = ключ не нужен
serve-keys = нужен ключ
serve-reloaded = Настройки и ключи прочитаны заново.
serve-reloaded-model = Настройки и ключи прочитаны заново, модель загружена заново.
serve-not-reloaded = Ничего не изменено, всё осталось как было: {$reason}
serve-stopping = Останавливаюсь: начатое доделывается, новое не принимается.
serve-error-config = {$key}: {$reason}
serve-error-open = {$listen} доступен с других машин, а ключ не нужен: создайте ключи командой «nestor keys add», слушайте 127.0.0.1 или задайте allow_without_keys = true.
serve-error-listen = Слушать {$listen} нельзя: {$reason}. Назовите другой адрес через --listen или завершите программу, которая его занимает.
keys-added = Ключ для {$name}; в {$path} хранится только его хеш. Показывается один раз:
keys-none = В {$path} нет ключей: сервером может пользоваться всякий, кто до него достанет. Создать ключ: «nestor keys add ИМЯ».
keys-name = имя
keys-rights = права
keys-projects = проекты
keys-created = создан
keys-all-projects = все
keys-unknown = В {$path} нет ключа для {$name}; см. «nestor keys list».
keys-revoked = Ключ для {$name} отозван; работающий сервер заметит это за секунды.
keys-no-home = Ключи лежат в папке данных пользователя, а у этого пользователя её нет; назовите файл через --file.

## nestor bench serve

bench-serve-bar = измерение
bench-serve-failed = Сервер нельзя измерить: {$reason}
bench-serve-what = дополнения
bench-serve-rate = в секунду
bench-serve-in-process = {$speed}, в этом процессе
bench-serve-http = {$speed}, по HTTP
bench-serve-load = {$speed}, нагрузка 0,7
bench-serve-overload = {$speed}, нагрузка 3
bench-serve-idle = balanced, рядом с {$count} простаивающими соединениями
bench-serve-about = {$model}: HTTP добавляет по медиане {$added} (по скоростям). Под тройной нагрузкой отказано запросов: {$turned}; других сбоев: {$other}. Память: {$before} до нагрузки, {$after} после.
bench-serve-soak = {$seconds} с нагрузки, ответов {$count}: память {$before} до, {$after} после.
