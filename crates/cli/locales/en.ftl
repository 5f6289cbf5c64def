# Texts of the command line in English. ru.ftl has the same keys; a test compares them.

## Help

help-heading-usage = Usage:
help-heading-commands = Commands
help-heading-arguments = Arguments
help-heading-options = Options
help-default = [default: {$value}]
help-heading-example = Example:

help-every-help = Show this help
help-every-version = Show the version
help-every-json = One JSON document on stdout; progress and notes stay on stderr
help-every-lang = Language of messages (otherwise that of the system)
help-every-precision = With what the network computes: 8-bit codes, 4-bit numbers, or 32-bit floats for comparison

help = Nestor: a code model for 1C:Enterprise that learns your configuration on your own computer
help-example =
    {"  "}nestor quickstart
    {"  "}nestor complete src/cf/CommonModules/Продажи/Ext/Module.bsl:42:17 --learn src/cf

help-quickstart = Learn the bundled configuration, complete code at each speed, print the table of accuracy
help-quickstart-example = {"  "}nestor quickstart
help-quickstart-model = Name of a bundled model, or a model folder
help-quickstart-max-positions = Score at most about this many code tokens, spread evenly over the configuration

help-corpus = Build a training corpus and look at it
help-corpus-example = {"  "}nestor corpus build ../ssl ../erp --withhold erp --out data/corpus
help-corpus-build = Read sources, remove duplicates, train the tokenizer, write token shards and the manifest
help-corpus-build-example = {"  "}nestor corpus build ../ssl ../erp.git --withhold erp --out data/corpus
help-corpus-build-sources = Folders, Designer dumps, EDT projects or bare git repositories; NAME=PATH gives a source a name
help-corpus-build-list = Table of repositories (columns repository, role, licence, note, separated by tabs) instead of a long command line
help-corpus-build-mirrors = Folder with the repositories of the table: owner/name lies in owner+name/repo
help-corpus-build-out = Folder to write the corpus to
help-corpus-build-withhold = Name of a source that the network is not trained on; the mixture is fitted on it. May be repeated
help-corpus-build-vocab = Pieces of the tokenizer
help-corpus-build-seed = Seed of every random choice
help-corpus-stats = Show sources, licences, files, methods, duplicates and tokens of a corpus
help-corpus-stats-example = {"  "}nestor corpus stats data/corpus
help-corpus-stats-corpus = Corpus folder
help-corpus-sample = Print random methods of a corpus
help-corpus-sample-example = {"  "}nestor corpus sample data/corpus --samples 3 --seed 1
help-corpus-sample-corpus = Corpus folder
help-corpus-sample-samples = How many methods
help-corpus-sample-seed = Seed of the choice

help-train = Train a model on a corpus, fit its mixture and write the model folder
help-train-example =
    {"  "}nestor train --corpus data/corpus --model nano --minutes 60 --out runs/first
    {"  "}nestor train --corpus data/corpus --model nano --minutes 60 --out runs/first --resume
help-train-corpus = Corpus folder
help-train-model = Size of the network
help-train-levels = Levels (stages of the network), 1 to 3
help-train-samples = Train on this many random methods instead of whole projects
help-train-epochs = Passes over the training tokens (or over the samples)
help-train-device = Where to compute
help-train-out = Folder for the record, the checkpoints and the model
help-train-resume = Go on from the last checkpoint in the folder
help-train-from = Start from the weights of this model folder instead of random ones
help-train-finish = Do not train: make the folder of a run that was stopped whole (counts, mixture, card)
help-train-max-tokens = End after this many tokens
help-train-only-names = With --finish: fit only what weighs the names that metadata offers, on these codebases
help-train-only-gates = With --finish: keep the folder's counts as they are, fit only the mixture
help-train-only-memories = With --finish: fit only what the memories of levels 2 and 3 start from and how fast they learn and forget
help-train-seq-len = Tokens in a window
help-train-batch = Windows in a batch
help-train-rename = Share of the visits to a project that give its identifiers other names [default: 0.3; with --samples 0]
help-train-rate = Multiply all learning rates by this; below 1 to go on from weights that have learned already
help-train-seed = Seed of every random choice
help-train-minutes = End after this many minutes of training

help-complete = Complete code at a position of a file
help-complete-example =
    {"  "}nestor complete examples/trade/cf/CommonModules/Продажи/Ext/Module.bsl:10:5
    {"  "}nestor complete Module.bsl:10:5 --speed fast --learn src/cf
help-complete-position = File, line and column, both from 1; the column counts characters
help-complete-speed = How much of the model answers
help-complete-learn = Learn a codebase first: a folder, Designer dump, EDT project or git repository
help-complete-model = Name of a bundled model, or a model folder
help-complete-stop = Where the completion ends
help-complete-max-tokens = End after this many pieces

help-eval = Measure accuracy on code that the model has not seen
help-eval-example =
    {"  "}nestor eval ../my-configuration --baseline ngram --baseline-corpus data/corpus
    {"  "}nestor eval data/corpus --protocol samples --samples 500
    {"  "}nestor eval ../my-repository --protocol commits --baseline openai:http://127.0.0.1:8080:qwen2.5-coder
help-eval-sources = Codebases; for the protocol "samples" a corpus folder. Of a corpus the dev projects are measured, else the withheld ones
help-eval-list = Table of repositories (columns repository, role, licence, note); those of role dev are measured
help-eval-mirrors = Folder with the repositories of the table: owner/name lies in owner+name/repo
help-eval-protocol = How the scored code is chosen
help-eval-levels = Levels to score, such as 0,1,2,3,all or 1..3
help-eval-baseline = Score a baseline beside the model: counts alone, or with --protocol commits a model behind OpenAI's interface (POST /v1/completions), which gets the text around the lines; its key stands in the variable NESTOR_OPENAI_KEY
help-eval-max-bytes = Read only the first files of each source, up to this many bytes
help-eval-commits = With --protocol commits: learn the state so many commits before the last one
help-eval-max-lines = With --protocol commits: write at most so many lines again, evenly over all
help-eval-metadata = Mix in the names that the metadata of the codebase offers (column "+ project"); "off" only tells apart the places that it knows
help-eval-folds = Folds of the protocol "maintenance" to score, 1 to 10
help-eval-learned-share = Share of the other folds that the protocol "maintenance" learns, 0 to 1
help-eval-code = Whose code of a codebase is learned and scored: all, or without what is or may be a vendor's (own)
help-eval-memories = Memories that learn with the project: all, with the open file teaching them as it is read; served, as completion has them (the open file teaches at its end); all but one, that of level 1 too; or off
help-eval-baseline-corpus = Corpus whose training sources the baseline learns first
help-eval-max-positions = Score at most about this many code tokens, spread evenly
help-eval-samples = Methods for the protocol "samples"
help-eval-seed = Seed of every random choice
help-eval-model = Name of a bundled model, or a model folder

help-models = Look at model folders
help-models-example = {"  "}nestor models show tiny
help-models-list = List the bundled models
help-models-list-example = {"  "}nestor models list
help-models-show = Show one model and check its files
help-models-show-example = {"  "}nestor models show tiny
help-models-show-model = Name of a bundled model, or a model folder

help-quantize = Write a model folder whose matrices are codes of at most 8 bits
help-quantize-example = {"  "}nestor quantize runs/first --out models/first --check src/cf
help-quantize-model = Name of a bundled model, or a model folder
help-quantize-out = Folder to make; it must not exist
help-quantize-check = Compare both models on this codebase: how often each exit says the same token
help-quantize-max-bytes = Read only the first files, up to this many bytes
help-quantize-bits = Bits of a code, 4 to 8: fewer pack smaller and cost accuracy, not speed
help-quantize-pack = Compress the weights (weights.safetensors.zst)
help-serve = Serve editors over HTTP: OpenAI, llama.cpp and editor endpoints, playground, dashboard, metrics
help-serve-example =
    {"  "}nestor serve
    {"  "}nestor serve --config server.toml
help-serve-config = Configuration file (TOML); see docs/operations.md
help-serve-listen = Address and port to listen on, over that of the configuration
help-serve-model = Name of a bundled model, or a model folder, over that of the configuration
help-keys = Make, list and revoke the keys of a server
help-keys-example = {"  "}nestor keys add ivanov --rights complete,learn --projects erp
help-keys-add = Make a key; it is shown once
help-keys-add-example = {"  "}nestor keys add ivanov --rights complete,learn --projects erp
help-keys-add-name = Who gets it
help-keys-add-rights = What it allows: complete, learn, train, admin; several with commas
help-keys-add-projects = The projects that it may use, with commas; all if missing
help-keys-list = List the keys: names, rights, projects
help-keys-list-example = {"  "}nestor keys list
help-keys-revoke = Take a key back
help-keys-revoke-example = {"  "}nestor keys revoke ivanov
help-keys-revoke-name = Whose key
help-keys-add-file = File of the keys; that in the user's data folder by default
help-keys-list-file = File of the keys; that in the user's data folder by default
help-keys-revoke-file = File of the keys; that in the user's data folder by default
help-keys-add-config = Configuration of the server, which names the file of the keys
help-keys-list-config = Configuration of the server, which names the file of the keys
help-keys-revoke-config = Configuration of the server, which names the file of the keys
help-lsp = Serve an editor as its language server, on stdin and stdout
help-lsp-example = {"  "}nestor lsp --project erp
help-lsp-speed = Speed of completions
help-lsp-server = Ask this server (nestor serve) instead of a model in the process
help-lsp-key-file = File that holds the server's key; the variable NESTOR_KEY is read otherwise
help-lsp-ca = Certificates of authorities that the server's is signed by, PEM, besides the system's own
lsp-error-no-key = it holds no key
help-lsp-model = Name of a bundled model, or a model folder
help-lsp-stdio = Taken and ignored: stdin and stdout are used anyway

help-bench = Measure speed
help-bench-example = {"  "}nestor bench decode
help-bench-learn = Measure what levels 2 and 3 cost to teach and what they gain
help-bench-learn-example = {"  "}nestor bench learn src/cf --foreign other/cf --pieces 100000
help-bench-learn-source = Codebase to teach; the bundled configuration by default
help-bench-learn-foreign = Codebase that is not taught: how much is forgotten
help-bench-learn-then = Codebase to teach afterwards: how much of the first is forgotten
help-bench-learn-pieces = Pieces to teach
help-bench-learn-plot = Draw the curve of losses into this file
help-bench-learn-mixtures = Also measure what garbage, and the code of --then, do to completion as a whole, counts included
help-bench-learn-whole = Learn the whole source as a project and time completions meanwhile
help-bench-learn-max-bytes = Read only the first files, up to this many bytes
help-bench-learn-model = Name of a bundled model, or a model folder
help-bench-serve = Measure completions over HTTP: beside this process, under load, under three times the load, beside idle connections
help-bench-serve-example = {"  "}nestor bench serve --seconds 30
help-bench-serve-source = Codebase to complete in; the bundled configuration by default
help-bench-serve-requests = Completions to time at each speed, one after another
help-bench-serve-seconds = Seconds of each load
help-bench-serve-idle = Idle connections
help-bench-serve-soak = Load for this long at the end, with the server's memory before and after
help-bench-serve-model = Name of a bundled model, or a model folder
help-bench-complete = Measure completions in open documents: alone, under load, and beside llama.cpp
help-bench-complete-example = {"  "}nestor bench complete --random tiny --profile --peer llama-cpp
help-bench-complete-source = Codebase to complete in; the bundled configuration by default
help-bench-complete-model = Name of a bundled model, or a model folder
help-bench-complete-random = Take random weights of this size instead of the model's
help-bench-complete-instructions = Use no newer instructions: what an older processor would do
help-bench-complete-workers = Requests that are served at once (otherwise one a core); more than cores share passes over the weights
help-bench-complete-seconds = Seconds of each measurement
help-bench-complete-documents = Open so many documents and tell what they hold
help-bench-complete-project = Complete with what this project has taught, in its code at SRC
help-bench-complete-profile = Show where the time of a completion goes
help-bench-complete-typing = Type in a module: what each edit costs, and whether answers are those of a document opened afresh
help-bench-complete-peer = Time another engine on random weights of as many bytes
help-bench-complete-peer-environment = Folder of the Python environment that is made for it
help-bench-decode = Time completions at each speed
help-bench-decode-example = {"  "}nestor bench decode --requests 100
help-bench-decode-model = Name of a bundled model, or a model folder
help-bench-decode-requests = Completions to time at each speed
help-bench-decode-source = Codebase to complete in; the bundled configuration by default

## Wrong use

error-label = error:
use-unknown-argument = unknown option or argument "{$argument}".
use-unknown-command = unknown command "{$command}".
use-value-missing = "{$argument}" needs a value.
use-value-not-allowed = "{$value}" is no value of "{$argument}"; possible: {$allowed}.
use-value-wrong = the value "{$value}" of "{$argument}" is wrong: {$reason}.
use-argument-missing = missing: {$argument}.
use-command-missing = a command is missing.
use-conflict = "{$argument}" does not go with "{$other}".
use-suggestion = Did you mean "{$suggestion}"?
use-see-help = See --help.

## Units

unit-bytes = B
unit-kilobytes = kB
unit-megabytes = MB
unit-gigabytes = GB
unit-milliseconds = ms
unit-seconds = s
unit-minutes = min
unit-hours = h

## Home and models

home-not-a-folder = NESTOR_HOME is {$path}, which is no folder; let it name the folder that holds models/ and examples/.
home-not-found = the folder with models/ and examples/ was not found above the program or the current folder; set NESTOR_HOME to it.
model-folder-missing = model folder {$path} does not exist; see "nestor models list".
model-unknown = there is no model "{$name}": {$path} does not exist; see "nestor models list", or give a folder with --model.
models-none = no models in {$path}
models-name = model
models-levels = levels
models-width = width
models-numbers = numbers
models-size = size
models-damaged = damaged
models-file = file
models-metrics = measured when the model was made:
models-card = data, licences, intended use and limits: {$path}
models-sizes = {$parameters} parameters in {$numbers}, {$levels} levels of {$blocks} blocks, width {$width}, {$vocabulary} pieces

## nestor train

train-no-budget = say when the training ends: --epochs, --minutes or --max-tokens.
train-counting = counting n-grams
train-contexts = looking for long contexts
train-pruning = pruning n-grams
train-names-gate = names, gate {$gate}: {$loss} nats a piece over {$examples} examples (even weights {$uniform}, the best part each time {$best})
train-fitting = fitting the mixture
train-starting = learning a start
train-no-rates = the corpus withholds no project with code that is new to the model, so nothing tells how fast its memories should learn.
train-rates-delta = rate 2
train-rates-delta-decay = decay 2
train-rates-mlp = rate 3
train-rates-mlp-decay = decay 3
train-rates-period = period 3
train-rates-loss = nats a piece
train-no-withheld = The corpus withholds no project (corpus build --withhold), so there is nothing to fit the mixture on: the parts weigh the same.
train-progress = training
train-header = {$model}, {$levels} levels, {$parameters} parameters; corpus of {$tokens} tokens; {$device}, {$threads} threads
train-resumed = going on from step {$step}
train-state = step {$step}, {$tokens} tokens, loss {$loss}, {$rate} tokens/s, memory {$memory}
train-left = {$time} left
train-level = level {$level}: loss {$loss}, accuracy {$accuracy} %
train-validation = on withheld text at step {$step}: {$levels}
train-stopped = stopped; "--resume" goes on from the checkpoint in {$path}
train-done = {$steps} steps, {$tokens} tokens in {$time} ({$rate} tokens/s, peak memory {$memory}); on withheld text:
train-model-at = model: {$path}

## nestor corpus

corpus-withhold-unknown = --withhold {$name}: no source has this name; a source is named by the last part of its path, or by NAME=PATH.
corpus-source = source
corpus-role = role
corpus-licence = licence
corpus-files = files
corpus-copies = copies
corpus-size = size
corpus-methods = methods
corpus-unique = unique
corpus-near = near-copies
corpus-tokens = tokens
corpus-total = total
corpus-skipped = Left out:
corpus-skipped-more = {$source}: {$count} more, see manifest.json
corpus-built = {$size} of code in {$time}, {$rate} MB/s; corpus: {$path}
corpus-russian = Russian
corpus-english = English
corpus-language = {$language}: {$files} files, {$size}, {$tokens} tokens, {$bytes} bytes a token
corpus-method-lengths = tokens of a method: median {$median}, 90 % up to {$p90}, 99 % up to {$p99}, the longest {$longest}
corpus-stored = {$vocabulary} pieces, {$shards} shards
corpus-phase-listing = listing files
corpus-phase-reading = reading
corpus-phase-training = training the tokenizer
corpus-phase-encoding = encoding
corpus-phase-finishing = finishing

## Errors

error-panic = Nestor broke one of its own rules; please report the lines above with the command.
error-file = {$path}: {$reason}.
corpus-error-missing = {$path} does not exist; check the path.
corpus-error-no-modules = {$path} holds no .bsl or .os file; give a folder, dump, EDT project or git repository with modules.
corpus-error-occupied = {$path} holds something else than a corpus; name another folder, or empty it.
corpus-error-busy = another build writes to {$path} right now; wait for it, or name another folder.
corpus-error-no-commit = the git repository {$path} has no commit where its HEAD points to; commit, or switch to a branch that has one.
corpus-error-git = the git repository {$path} is broken: {$reason}; fetch it again.
corpus-error-corrupt = {$path} is corrupt: {$reason}; build the corpus again.
learn-error-shared = {$given} and {$other} hold the same files, which would count twice; give one of them.
learn-error-nested = {$given} and {$learned}, which is learned as {$root}, hold the same files, which would count twice; learn {$learned}, or forget it first: nestor project forget {$project} {$root}.
learn-damaged = {$path}: what was learned of it is damaged and forgotten; it is learned again where a source has it.
corpus-error-same-name = two sources are named "{$name}"; name one of them with NAME=PATH.
corpus-error-too-few-methods = {$asked} samples are asked for, the corpus has {$available} distinct methods; ask for fewer.
model-error-file = {$path} cannot be used: {$reason}; see "nestor models list" for models that are whole.
model-error-version = {$path}: format_version is {$found}, this program reads {$supported}; use a program and a model of the same version.
model-error-hash = {$path} is damaged or belongs to another model: sha256 is {$found}, model.json says {$field} = {$expected}; copy the model folder again.
model-error-corrupt = {$what} is corrupt: {$reason}; copy the model folder again.
model-error-tensor = {$path} is damaged: tensor {$tensor}: {$reason}; copy the model folder again.
train-error-occupied = {$path} already holds a training run; go on with --resume, or choose another folder.
train-error-checkpoint = checkpoint {$path} cannot be used: {$reason}; choose another folder, or delete the checkpoint.
train-error-start = training cannot start from the model {$path}: {$reason}; leave out --from, or name a model that was trained on this corpus.
train-error-record = {$path} cannot be read: {$reason}; give the folder of a training run with --out.
train-error-not-finite = step {$step}: {$place} is not finite; go on from the last checkpoint with --resume, or train again with another --seed.

## Learning and completing

learning-bar = learning
reading-bar = reading
learned-files = Learned {$files} files, {$size}, {$pieces} pieces in {$time}; left out: {$skipped}.
file-skipped = left out: {$path}: {$reason}
file-unreadable = {$path} cannot be read: {$reason}; check the path.
file-no-text = {$path} is no source text: {$reason}; Nestor reads .bsl and .os files in UTF-8.
cursor-line-outside = {$path}: line {$line} is outside the file, which has {$lines} lines.
cursor-column-outside = {$path}: column {$column} is outside line {$line}, whose last column is {$columns}.
complete-nothing = Nothing to offer here.
complete-prose = The cursor stands in a text for people: nothing is offered there.
complete-facts = {$speed}: {$latency}, {$context} pieces of context, confidence {$confidence} %; {$parts}
part-corpus = corpus counts
part-project = project counts
part-nearest = nearest states
part-names = names of the metadata
part-file = file counts
part-level = level {$level}

## Accuracy

accuracy-level = level
accuracy-none = nothing learned
accuracy-file = + open file
accuracy-dynamic = + project
accuracy-top5 = top 5
accuracy-identifier-mrr = names, MRR
accuracy-bits = bits/char
accuracy-ngram = n-gram baseline
accuracy-cache = 0: counts alone
accuracy-all = all levels
accuracy-one-level = {$level}
accuracy-legend =
    Strict accuracy in %, with the 95 % interval over files: a code token counts when all its pieces are right and it ends where it should.
    What may have been learned grows from left to right; the project's files are learned in path order, each after it was scored.
eval-progress = {$files}/{$of} files
eval-source = {$name}: {$files} files, {$tokens} code tokens, {$own} of them not in the training data, {$scored} scored
eval-commits = {$name}: {$lines} lines of {$commits} commits; keys saved {$saved} % (plain list of names {$list} %), whole lines {$whole} %, right of the surest 30 %: {$precision} %, invented names {$invented} %
eval-commits-peer = {$name}, {$level}: keys saved {$saved} %, whole lines {$whole} %, right of the surest 30 %: {$precision} %, invented names {$invented} %; {$failed} of {$asked} requests without an answer
eval-ngram-writes-nothing = --baseline ngram scores tokens and writes no lines: with --protocol commits give openai:URL:MODEL or none.
eval-peer-writes-lines = --baseline openai belongs to --protocol commits: the other protocols score tokens, and the server cuts text into tokens of its own.
eval-peer-learns-nothing = --baseline-corpus belongs to --baseline ngram: a model behind OpenAI's interface learns nothing here.
eval-peer-gone = {$url} (--baseline): {$reason}. Is the server running, and does it know the model?
eval-peer-without = {$url} takes no "{$field}" and was asked without it.
eval-peer-failed = {$url}: not every request was answered, the last one because of: {$reason}
eval-mean = mean over the sources
eval-needs-corpus = {$path} is no corpus; the protocol "samples" needs a folder that "nestor corpus build" wrote.
eval-nothing-withheld = corpus {$path} has no project of role dev or withheld; give a codebase, or build the corpus with --withhold.
eval-baseline-untaught = The baseline knows no training corpus (--baseline-corpus): it counts the measured code only.
eval-baseline-learning = baseline
eval-nothing-to-score = {$name}: nothing to score: {$reason}.

## nestor bench

bench-no-places = {$path} holds no statement to complete; give a source with code in methods.
bench-what = {$model}: {$requests} cold completions a speed (whole context read, to the end of the line, at most 16 pieces), {$threads} threads
bench-speed = speed
bench-median = median
bench-p95 = 95 %
bench-p99 = 99 %
bench-prefill = reading
bench-decode = writing
bench-prefill-rate = read, pieces/s
bench-decode-rate = written, pieces/s
bench-complete-seconds = --seconds {$value}: a positive number is needed.
bench-complete-bar = measuring
bench-complete-what = {$model}, {$precision} ({$instructions}): completions in open documents, 16 new pieces each, to the end of the line, at most 16 pieces; {$workers} at once; the model opens in {$cold} ms. Milliseconds, 50 / 95 / 99 %
bench-complete-alone = alone
bench-complete-cold = just opened
bench-complete-rate = highest rate, 1/s
bench-complete-load = at 0.7 of it (rate)
bench-complete-target = at 0.7 of the target (rate)
bench-complete-bandwidth = of the bandwidth
bench-complete-prepare = text
bench-complete-read = reading
bench-complete-blocks = blocks
bench-complete-head = head
bench-complete-memories = memories
bench-complete-counts = counts
bench-complete-gate = gate
bench-complete-sampling = picking
bench-complete-other = other
bench-complete-open = open documents
bench-complete-document = a document
bench-complete-resident = process
bench-complete-context = context
bench-complete-threads = threads
bench-complete-peer-decode = llama.cpp, ms a token
bench-complete-our-decode = ours (1 thread)
bench-complete-peer-read = llama.cpp reads, 1/s
bench-complete-our-read = ours (1 thread)
bench-typing-edit = edit
bench-typing-steps = edits
bench-typing-latency = to the answer, 50 / 95 %
bench-typing-read = reading, 50 %
bench-typing-pieces = pieces read
bench-typing-different = other answers
bench-typing-open = opening
bench-typing-insert = a character typed
bench-typing-delete = a character deleted
bench-typing-undo = a word undone or redone
bench-typing-paste = a block pasted
bench-typing-jump = a jump
bench-complete-peer-failed = the peer was not timed: {$reason}

## nestor quickstart

quickstart-title = Nestor {$version}: {$model}, {$parameters} million parameters, {$levels} levels
quickstart-configuration = bundled configuration
quickstart-no-place = {$path} is not as it was shipped; get the folder examples/trade again.
quickstart-place = Completing line {$line} of {$file}. The rest of the line was cut off, and what this file itself has taught is left out:
quickstart-speed = speed
quickstart-latency = time
quickstart-written = in the file
quickstart-before = before learning
quickstart-memories =
    Levels 2 and 3 have learned {$pieces} pieces of {$files} files in {$time}: {$rate} pieces a second. What their exits alone, without counts,
    lose on {$scored} pieces of files that they were not taught, in bits a piece:
quickstart-untaught = nothing learned
quickstart-taught = files learned
quickstart-change = change, %
quickstart-accuracy = Accuracy on the configuration, {$scored} of {$tokens} code tokens scored:
quickstart-baseline = The n-gram baseline counts this configuration only. Row 0 also has the counts of the training corpus that the model ships with.
quickstart-time = All of it took {$time}.
quickstart-next = On your own code: nestor learn FOLDER --project NAME, then nestor complete FILE:LINE:COL --project NAME; nestor eval FOLDER

## nestor learn, nestor project

help-every-project = Name of the project: letters, digits, dot, dash, underscore
help-every-memory = Folder of the projects (otherwise NESTOR_MEMORY, otherwise the user's data folder)
help-every-no-wait = Fail if another process changes the project, instead of waiting for it

help-learn = Teach a codebase, or what has changed in it, to a project that stays
help-learn-example =
    {"  "}nestor learn ../my-configuration --project erp
    {"  "}nestor learn cf=src/cf ext=src/cfe --project erp
    {"  "}nestor learn --project erp --teach all
    {"  "}nestor complete src/cf/CommonModules/Продажи/Ext/Module.bsl:42:17 --project erp
help-learn-sources = Folders, Designer dumps, EDT projects or bare git repositories; NAME=PATH gives a source a name, or says where a known one lies now. Without any the known project is taught on
help-learn-teach = Teach levels 2 and 3 about this many pieces, or all that are left; the next call goes on from there, and so do the servers while nobody works. 0 leaves it to the counts
help-learn-full = Read every file, also those that have not changed since the last call by their size and time, their git blob or their version in Designer's dump
help-learn-role = What the sources are to the project (otherwise found out where they tell)
help-learn-model = Name of a bundled model, or a model folder; its tokenizer cuts the text

help-complete-project = Complete with what a project has learned (nestor learn)

help-project = Look at projects and take back what they have learned
help-project-example =
    {"  "}nestor project show erp --history
    {"  "}nestor project forget erp cf/CommonModules/Секреты
help-project-list = List the projects
help-project-list-example = {"  "}nestor project list
help-project-show = Show one project: its roots, its size, its history
help-project-show-example = {"  "}nestor project show erp --history
help-project-show-history = Also show every change with its number
help-project-forget = Forget a file or a folder for good: it no longer counts, and its text is erased from the project's folder
help-project-forget-example = {"  "}nestor project forget erp cf/CommonModules/Секреты
help-project-forget-paths = Paths in the project: the root's name, then the path inside the root
help-project-rollback = Go back to the state after an earlier change; the history stays, what was forgotten stays forgotten
help-project-rollback-example = {"  "}nestor project rollback erp 120
help-project-rollback-change = Number of the change, as "project show --history" has it; 0 for the empty project
help-project-export = Write a project with its history into one file, which holds source text
help-project-export-example = {"  "}nestor project export erp erp.nestor
help-project-export-file = File to write; it must not exist
help-project-import = Make a project of an exported file
help-project-import-example = {"  "}nestor project import erp erp.nestor
help-project-import-file = File that "project export" wrote
help-project-import-model = Model that is to use the project: a bundled model's name, or a model folder
help-project-remove = Remove a project with all it has learned
help-project-remove-example = {"  "}nestor project remove erp

learn-root = {$root}: new {$new}, changed {$changed}, unchanged {$unchanged}, removed {$removed}; left out: {$skipped}
learn-filtered = {"  "}held back: {$counts} only count, {$nothing} teach nothing (--json names them and says why)
learn-origins = own code: {$own} files, {$ownsize}; not known whose: {$unknown}, {$unknownsize}; vendor code: {$vendor}, {$vendorsize}
learn-metadata = metadata: {$objects} objects, {$forms} forms in {$files} files, of which {$read} were read in {$time}; problems: {$problems}, new: {$new}
learn-metadata-more = and {$count} more (--json names them)
learn-metadata-anew = {$reason}. The metadata is read anew.
metadata-bar = metadata
learn-read = read {$read}; unchanged and not read {$unchanged}
learn-work = learned {$size}, {$pieces} pieces in {$time} ({$rate} pieces/s)
learn-project = project {$name}: {$files} files, {$pieces} pieces, last change {$change}
project-loading = loading the project
project-loaded = Project {$name}: {$files} files, {$pieces} pieces, loaded in {$time}.
project-damaged = Project {$name}: levels 2 and 3 are not at work, teaching makes them again: {$reason}
project-metadata-damaged = Project {$name}: what its configurations say is not at work, `nestor learn SRC` reads them again: {$reason}
project-waiting = Another process changes the project {$name}; waiting for it (--no-wait fails instead).
project-cut = Project {$name}: an earlier run was broken off; {$bytes} unfinished bytes were cut off, learning again catches up.
project-no-home = the user's data folder is not known; name a folder with --memory or NESTOR_MEMORY.
project-none = no projects in {$path}
project-name = project
project-files = files
project-pieces = pieces
project-size = size
project-changed = changed
project-root = root
project-role = role
project-location = learned from
project-change = change
project-time = when
project-operation = what
project-about = about
project-facts = {$path}: {$files} files, {$pieces} pieces, {$taught} of them taught to levels 2 and 3, {$size} on disk, {$changes} changes, made {$created}
project-quarantine = In quarantine, teaching levels 2 and 3 nothing until they change: {$files}
project-op-root = root
project-op-learn = learned
project-op-again = learned before
project-op-remove = removed
project-op-forget = forgotten
project-op-rollback = rolled back
project-op-note = note
project-forgotten = {$path}: files forgotten: {$files}, texts erased: {$texts}
project-rolled-back = project {$name} is as it was after change {$change}: files restored {$restored}, removed {$removed}, now {$files}
project-lost = Forgotten since, so not restored: {$count}
project-exported = project {$name}: {$files} files written to {$path}, {$size}
project-export-warning = {$path} holds the source text of the project; keep it as you keep the sources.
project-imported = project {$name}: {$files} files, {$pieces} pieces
project-removed = project {$name} is removed
project-error-name = "{$name}" is no name of a project: {$reason}; a name has letters, digits, dots, dashes and underscores.
project-name-empty = it is empty
project-name-long = it has more than 64 characters
project-name-dot = it starts or ends with a dot
project-name-device = Windows keeps it for a device
project-name-character = it has "{$character}"
project-error-missing = there is no project {$name} in {$path}; see "nestor project list", or make it with "nestor learn SRC --project {$name}".
project-error-exists = {$path} exists already; name another one, or remove it first.
project-error-busy = another process changes the project {$name} right now; wait for it, or leave out --no-wait.
project-error-version = {$path}: format_version is {$found}, this program reads {$supported}; use a program of the version that wrote it.
project-error-corrupt = {$path} is corrupt: {$reason}; learn its sources with --full, import a copy, or remove the project and learn it again.
project-error-tokenizer = the project {$name} was learned with the tokenizer {$found}, the model has {$expected}; use a model with that tokenizer, or learn under another name.
project-error-vocabulary = the project {$name} has a vocabulary of {$found} pieces, the model one of {$expected}; use a model with that vocabulary, or learn under another name.
project-error-root = the project has a root {$name} from {$learned}, and {$given} would get the same name; write OTHER={$given}, or {$name}={$given} if it has moved.
project-error-not-learned = the project {$name} has learned nothing under {$path}; a path begins with the name of a root, see "nestor project show {$name}".
project-error-change = the project {$name} has no change {$change}; the last one is {$last}.
project-error-not-erased = {$path} holds forgotten text and cannot be deleted: {$reason}; close the programs that use it and run the command again, or delete it yourself.
teaching-bar = teaching levels 2 and 3
learn-taught = Levels 2 and 3: {$pieces} pieces taught in {$time} ({$rate} pieces/s); they know all of it.
learn-taught-partly = Levels 2 and 3: {$pieces} pieces taught in {$time} ({$rate} pieces/s); {$left} are left. The same command goes on from here, `--teach all` to the end, and the servers do so while nobody works.
learn-refused = {$refused} stretches of teaching did harm and were taken back; files put in quarantine, which teach levels 2 and 3 nothing until they change: {$files}
quarantine-project = {$path}: raised the loss on other code of the project by {$rise}
quarantine-general = {$path}: raised the loss on code of no project by {$rise}
quarantine-broken = {$path}: led to results that are no numbers

## nestor bench learn

bench-learn-bar = measuring
bench-learn-needs-levels = the model {$name} has fewer than three levels; name one with three by --model.
bench-learn-too-few = {$path} has too few files: some are taught and one in ten is held out.
bench-learn-what = {$model}: levels 2 and 3 taught on {$threads} threads, {$bytes} in memory; bits a piece of exits 2 and 3 alone, without counts
bench-learn-memories = taught
bench-learn-us = us a piece
bench-learn-rate = pieces/s
bench-learn-reading = nothing (reading)
bench-learn-level2 = level 2
bench-learn-level3 = level 3
bench-learn-episodic = nearest states
bench-learn-all = all
bench-learn-taught = pieces taught
bench-learn-own2 = held out, 2
bench-learn-own3 = held out, 3
bench-learn-foreign2 = foreign, 2
bench-learn-foreign3 = foreign, 3
bench-learn-then = after another codebase, as a root of its own
bench-learn-then-together = the same as one root
bench-learn-garbage = with a fifth of garbage
bench-learn-mixture = counts, levels and nearest states
bench-learn-mixture2 = level 2, bits a character
bench-learn-mixture-all = all levels, bits a character
bench-learn-mixture-untaught = nothing learned but the open file
bench-learn-mixture-clean = learned, without garbage
bench-learn-forgotten-before = source learned
bench-learn-forgotten-after = other code learned too
bench-learn-forgotten-rise = forgotten
bench-learn-harm = worse than without
bench-learn-harm-alone = garbage alone
bench-learn-packed = packed data
bench-learn-minified = minified code
bench-learn-generated = generated code
bench-learn-languages = other languages
bench-learn-prose = prose
bench-learn-copies = the same file again and again
bench-learn-changing = the same, a line changed each time
plot-not-written = {$path} cannot be written: {$reason}. Name a file in a folder that exists.
bench-learn-plot-title = Levels 2 and 3 while a project is taught
bench-learn-plot-bits = bits a piece
bench-whole-io = The files to learn cannot be laid out in the folder for temporary files: {$reason}. Free space there or set TMPDIR.
bench-whole-no-places = The source holds no statement to complete; give one with code in methods.
bench-whole-failed = Learning failed: {$reason}
bench-whole-state = completions at fast
bench-whole-idle = nothing is learned
bench-whole-learning = while learning
bench-whole-what = {$size} in {$files} files, {$pieces} pieces: useful after {$useful}, levels 2 and 3 done after {$done} ({$rate} pieces/s); {$disk} on disk, {$memory} of memory at most

## nestor quantize

quantize-written = Written: {$path}, {$before} of weights became {$after}.
quantize-exists = {$path} exists already; name a folder that does not.
quantize-exit = exit
quantize-positions = positions
quantize-same = same token
quantize-loss = loss before, nats
quantize-loss-int8 = loss after, nats
quantize-cannot-write = cannot write {$path}: {$reason}

## nestor serve, nestor keys

serve-listening = Nestor listens on {$url} ({$about}). Playground: {$url}/playground, figures: {$url}/dashboard. Ctrl-C stops it.
serve-open = no key is needed
serve-keys = a key is needed
serve-reloaded = Configuration and keys were read again.
serve-reloaded-model = Configuration and keys were read again, and the model was loaded anew.
serve-not-reloaded = Nothing was reloaded, everything stays as it was: {$reason}
serve-stopping = Stopping: what is under way is finished, nothing new is taken.
serve-error-config = {$key}: {$reason}
serve-error-open = {$listen} can be reached from other machines and no key is needed: make keys with "nestor keys add", listen on 127.0.0.1, or set allow_without_keys = true.
serve-error-listen = {$listen} cannot be listened on: {$reason}. Name another address with --listen, or end the program that uses it.
keys-added = The key of {$name}, kept in {$path} as a hash only. It is shown this once:
keys-none = {$path} holds no key: whoever reaches the server may use it. "nestor keys add NAME" makes one.
keys-name = name
keys-rights = rights
keys-projects = projects
keys-created = made
keys-all-projects = all
keys-unknown = {$path} holds no key of {$name}; see "nestor keys list".
keys-revoked = The key of {$name} is revoked; a running server notices within seconds.
keys-no-home = Keys lie in the user's data folder, and this user has none; name a file with --file.

## nestor bench serve

bench-serve-bar = measuring
bench-serve-failed = The server cannot be measured: {$reason}
bench-serve-what = completions
bench-serve-rate = a second
bench-serve-in-process = {$speed}, in this process
bench-serve-http = {$speed}, over HTTP
bench-serve-load = {$speed}, load of 0.7
bench-serve-overload = {$speed}, load of 3
bench-serve-idle = balanced, beside {$count} idle connections
bench-serve-about = {$model}: HTTP adds {$added} at the median (by speed). Under overload {$turned} requests were turned away; other failures: {$other}. Resident memory: {$before} before the load, {$after} after it.
bench-serve-soak = {$seconds} s of load, {$count} answered: resident memory {$before} before, {$after} after.
