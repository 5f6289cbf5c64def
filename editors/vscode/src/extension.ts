// Ghost text from `nestor lsp`. The extension starts the program, hands settings over and shows its state; it defines no language, so that
// it goes together with extensions for BSL that do.

import * as vscode from "vscode";
import { CancellationTokenSource, InlineCompletionList, LanguageClient, LanguageClientOptions, ServerOptions } from "vscode-languageclient/node";

const DOCUMENTS = [
  { scheme: "file", language: "bsl" },
  { scheme: "file", language: "sdbl" },
  { scheme: "file", pattern: "**/*.{bsl,os}" },
];

/** What the server says about itself. */
interface Status {
  kind: "Normal" | "Warning" | "Error";
  busy: boolean;
  message: string;
  files?: number;
}

let client: LanguageClient | undefined;
let status: vscode.StatusBarItem;
let last: Status = { kind: "Normal", busy: true, message: "" };

const settings = () => vscode.workspace.getConfiguration("nestor");

/** The settings that the server knows; without a project it keeps the one of its arguments. */
function serverSettings() {
  const all = settings();
  return {
    speed: all.get<string>("speed"),
    manual: all.get<boolean>("manual"),
    showThreshold: all.get<number>("showThreshold"),
    maxTokens: all.get<number>("maxTokens"),
    stop: all.get<string>("stop"),
    list: all.get<string>("list"),
    learnOnSave: all.get<boolean>("learnOnSave"),
    learnWhenIdle: all.get<boolean>("learnWhenIdle"),
    project: all.get<string>("project") || null,
  };
}

function show(state: Status = last) {
  last = state;
  const manual = settings().get<boolean>("manual");
  const icon = state.kind === "Error" ? "$(error)" : state.busy ? "$(sync~spin)" : manual ? "$(circle-slash)" : "$(sparkle)";
  status.text = `${icon} Nestor`;
  const lines = [state.message, state.files ? `${settings().get("project")}: ${state.files}` : "", manual ? "manual" : "automatic"];
  status.tooltip = lines.filter(Boolean).join("\n");
  status.backgroundColor = state.kind === "Error" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
  status.show();
}

async function start() {
  const command = settings().get<string>("path") || "nestor";
  const args = ["lsp", ...(settings().get<string[]>("arguments") ?? [])];
  const server: ServerOptions = { command, args };
  const options: LanguageClientOptions = {
    documentSelector: DOCUMENTS,
    initializationOptions: serverSettings(),
    outputChannelName: "Nestor",
  };
  const starting = new LanguageClient("nestor", "Nestor", server, options);
  client = starting;
  starting.onNotification("nestor/didChangeStatus", (state: Status) => show(state));
  try {
    await starting.start();
  } catch (error) {
    show({ kind: "Error", busy: false, message: `${command}: ${error}. Set nestor.path.` });
  }
}

/** Ghost text, asked for after a pause in typing; a request that the editor gives up is cancelled in the server, too. */
const provider: vscode.InlineCompletionItemProvider = {
  async provideInlineCompletionItems(document, position, context, token) {
    const asking = client;
    if (!asking?.isRunning()) return undefined;
    const automatic = context.triggerKind === vscode.InlineCompletionTriggerKind.Automatic;
    if (automatic) {
      if (settings().get<boolean>("manual")) return undefined;
      await new Promise((resolve) => setTimeout(resolve, settings().get<number>("delay")));
      if (token.isCancellationRequested) return undefined;
    }
    const source = new CancellationTokenSource();
    const given = token.onCancellationRequested(() => source.cancel());
    const selected = context.selectedCompletionInfo;
    const converter = asking.code2ProtocolConverter;
    try {
      const list = await asking.sendRequest<InlineCompletionList | null>("textDocument/inlineCompletion", {
        textDocument: { uri: converter.asUri(document.uri) },
        position: converter.asPosition(position),
        context: {
          triggerKind: automatic ? 2 : 1,
          ...(selected && { selectedCompletionInfo: { range: converter.asRange(selected.range), text: selected.text } }),
        },
      }, source.token);
      // What the editor does with a list it tells nobody, so what it is given in time counts as seen.
      const [first] = token.isCancellationRequested ? [] : list?.items ?? [];
      if (first) void asking.sendNotification("textDocument/didShowCompletion", { item: first });
      return (list?.items ?? []).map((item) => new vscode.InlineCompletionItem(
        typeof item.insertText === "string" ? item.insertText : item.insertText.value,
        item.range && asking.protocol2CodeConverter.asRange(item.range),
        item.command && asking.protocol2CodeConverter.asCommand(item.command),
      ));
    } catch {
      // Superseded, cancelled, or the server has ended, which its channel tells.
      return undefined;
    } finally {
      given.dispose();
      source.dispose();
    }
  },
};

export async function activate(context: vscode.ExtensionContext) {
  status = vscode.window.createStatusBarItem(vscode.StatusBarAlignment.Right);
  status.command = "nestor.toggleManual";
  show();
  context.subscriptions.push(
    status,
    vscode.languages.registerInlineCompletionItemProvider(DOCUMENTS, provider),
    vscode.commands.registerCommand("nestor.toggleManual", () => settings().update("manual", !settings().get<boolean>("manual"), vscode.ConfigurationTarget.Global)),
    vscode.commands.registerCommand("nestor.restart", async () => {
      await client?.dispose();
      await start();
    }),
    vscode.workspace.onDidChangeConfiguration(async (change) => {
      if (!change.affectsConfiguration("nestor")) return;
      show();
      if (change.affectsConfiguration("nestor.path") || change.affectsConfiguration("nestor.arguments")) {
        await client?.dispose();
        return start();
      }
      await client?.sendNotification("workspace/didChangeConfiguration", { settings: { nestor: serverSettings() } });
      return undefined;
    }),
  );
  await start();
}

export async function deactivate() {
  await client?.dispose();
}
