// A client that we did not write (`vscode-languageserver-protocol`) against `nestor lsp`:
//     npm ci && node test/protocol.mjs ../../target/release/nestor
// Opens a Cyrillic module, types, gets ghost text, accepts a part of it, supersedes, cancels, says goodbye.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import protocol from "vscode-languageserver-protocol/node.js";

const program = process.argv[2] ?? "nestor";
const child = spawn(program, ["lsp", "--memory", mkdtempSync(join(tmpdir(), "nestor-"))], { stdio: ["pipe", "pipe", "inherit"] });
const connection = protocol.createProtocolConnection(new protocol.StreamMessageReader(child.stdout), new protocol.StreamMessageWriter(child.stdin));
const ready = new Promise((resolve) => connection.onNotification("nestor/didChangeStatus", (status) => { if (!status.busy) resolve(status); }));
connection.listen();

const hello = await connection.sendRequest(protocol.InitializeRequest.type, { processId: process.pid, rootUri: null, capabilities: { textDocument: { inlineCompletion: {}, codeAction: { dataSupport: true, resolveSupport: { properties: ["edit"] } } }, workspace: { workspaceEdit: { documentChanges: true } } }, initializationOptions: { speed: "fast", maxTokens: 200, stop: "block" } });
assert.equal(hello.capabilities.inlineCompletionProvider, true);
await connection.sendNotification(protocol.InitializedNotification.type, {});
assert.equal((await ready).kind, "Normal");

const uri = "file:///src/CommonModules/%D0%9F%D0%B5%D1%87%D0%B0%D1%82%D1%8C/Ext/Module.bsl";
const text = "// Ёлка 🙂\nПроцедура Печать(Склад) Экспорт\n\tЗапрос = Новый Запрос;\n\t\nКонецПроцедуры\n";
await connection.sendNotification(protocol.DidOpenTextDocumentNotification.type, { textDocument: { uri, languageId: "bsl", version: 1, text } });
let character = 1;
let version = 1;
const ask = (token) => connection.sendRequest("textDocument/inlineCompletion", { textDocument: { uri }, position: { line: 3, character }, context: { triggerKind: 1 } }, token ?? protocol.CancellationToken.None);
for (const typed of "Запрос2 = Новый ") {
  version += 1;
  await connection.sendNotification(protocol.DidChangeTextDocumentNotification.type, { textDocument: { uri, version }, contentChanges: [{ range: { start: { line: 3, character }, end: { line: 3, character } }, text: typed }] });
  character += typed.length;
}
const list = await ask();
assert.equal(list.items.length, 1);
console.log("ghost text:", JSON.stringify(list.items[0].insertText));
assert.ok(list.items[0].insertText.startsWith("Запрос"));
await connection.sendNotification("textDocument/didShowCompletion", { item: list.items[0] });
await connection.sendNotification("textDocument/didPartiallyAcceptCompletion", { item: list.items[0], acceptedLength: 6 });
await connection.sendRequest(protocol.ExecuteCommandRequest.type, { command: list.items[0].command.command, arguments: list.items[0].command.arguments });

const older = [1, 2, 3].map(() => ask().then(() => "answered", (error) => error.code));
const newest = await ask();
assert.ok(Array.isArray(newest.items));
console.log("older requests:", await Promise.all(older));
const source = new protocol.CancellationTokenSource();
const cancelled = ask(source.token).then(() => "answered", (error) => error.code);
source.cancel();
console.log("cancelled:", await cancelled);
console.log("counted:", JSON.stringify((await connection.sendRequest("nestor/status", null)).counted));
// An empty method gets its body by a code action, resolved when it is picked.
const empty = "// Возвращает остатки.\nФункция Остатки(Склад) Экспорт\nКонецФункции\n";
const other = "file:///src/CommonModules/%D0%9E/Ext/Module.bsl";
await connection.sendNotification(protocol.DidOpenTextDocumentNotification.type, { textDocument: { uri: other, languageId: "bsl", version: 1, text: empty } });
const at = { line: 1, character: 3 };
const actions = await connection.sendRequest(protocol.CodeActionRequest.type, { textDocument: { uri: other }, range: { start: at, end: at }, context: { diagnostics: [] } });
assert.equal(actions.length, 1);
assert.equal(actions[0].kind, protocol.CodeActionKind.RefactorRewrite);
const resolved = await connection.sendRequest(protocol.CodeActionResolveRequest.type, actions[0]);
const edit = resolved.edit.documentChanges[0].edits[0];
assert.deepEqual(edit.range, { start: { line: 1, character: 30 }, end: { line: 2, character: 0 } });
console.log(actions[0].title + ":", JSON.stringify(edit.newText));
assert.ok(edit.newText.trim().length > 0);

await connection.sendRequest(protocol.ShutdownRequest.type);
await connection.sendNotification(protocol.ExitNotification.type);
const code = await new Promise((resolve) => child.on("exit", resolve));
assert.equal(code, 0);
console.log("goodbye");
