"""Neovim with `nestor lsp`, and with the plug-in llama.vim on `/infill`, as a user types: a Cyrillic module is opened, typed in,
completed, and what is offered accepted; an empty method gets its body by a code action.

    python3 -m venv .venv && .venv/bin/pip install pynvim
    .venv/bin/python examples/clients/neovim.py nvim target/release/nestor
    git clone https://github.com/ggml-org/llama.vim && nestor serve --listen 127.0.0.1:8012 &
    .venv/bin/python examples/clients/neovim.py nvim target/release/nestor llama.vim http://127.0.0.1:8012
"""

import os
import pathlib
import sys
import tempfile
import time

import pynvim

NVIM, NESTOR = sys.argv[1:3]
MODULE = """// Ёжик 🙂 проверяет
Процедура Печать(Склад) Экспорт
\tЗапрос = Новый Запрос;
\tВыборка = Запрос.Выполнить().Выбрать();
\tПока Выборка.Следующий() Цикл
\tКонецЦикла;
КонецПроцедуры

// Возвращает остатки товаров на складе.
Функция ОстаткиТоваров(Склад) Экспорт

КонецФункции
"""


def until(what, found, seconds=60):
    """Waits for what `found` gives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(what)


def editor():
    nvim = pynvim.attach("child", argv=[NVIM, "--embed", "--headless", "--clean"])
    nvim.command("set hidden noswapfile")
    return nvim


def language_server(folder):
    nvim = editor()
    print("Neovim", nvim.exec_lua("return tostring(vim.version())"))
    nvim.exec_lua(
        """
        local program, folder = ...
        ready = false
        vim.filetype.add({ extension = { bsl = 'bsl' } })
        vim.lsp.config('nestor', {
          cmd = { program, 'lsp', '--speed', 'fast', '--memory', folder .. '/memory' },
          filetypes = { 'bsl' }, root_dir = folder,
          handlers = { ['nestor/didChangeStatus'] = function(_, status) ready = not status.busy end },
        })
        vim.lsp.enable('nestor')
        """,
        os.path.abspath(NESTOR),
        str(folder),
    )
    module = folder / "CommonModules" / "Остатки" / "Ext" / "Module.bsl"
    module.parent.mkdir(parents=True)
    module.write_text(MODULE)
    nvim.command(f"edit {module}")
    nvim.command("set filetype=bsl")
    until("the server is ready", lambda: nvim.exec_lua("return ready"))
    lines = lambda: list(nvim.current.buffer)

    # Typing after an emoji and Cyrillic letters: positions count in UTF-16.
    nvim.input("6GO\t/* 🙂 */ Выборка2 = Новый Зап")
    line = until("the line is typed", lambda: next((l for l in lines() if l.endswith("Новый Зап")), None))
    if nvim.exec_lua("return vim.lsp.inline_completion ~= nil"):
        nvim.exec_lua("vim.lsp.inline_completion.enable(true)")
        nvim.input(" <BS>")
        until("ghost text", lambda: nvim.exec_lua("return vim.lsp.inline_completion.get()"))
        shown = "ghost text"
    else:
        nvim.exec_lua(
            """
            local client = vim.lsp.get_clients({ name = 'nestor' })[1]
            vim.lsp.completion.enable(true, client.id, 0, {})
            vim.lsp.completion.get()
            """
        )
        until("the list is shown", lambda: nvim.funcs.pumvisible())
        items = nvim.funcs.complete_info(["items"])["items"]
        shown = f"list {[(item['word'], item.get('info') or item['menu']) for item in items]}"
        nvim.input("<C-n><C-y>")
    taken = until("the completion is taken", lambda: next((l for l in lines() if l.startswith(line) and len(l) > len(line)), None))
    print(f"{shown}: {line.strip()!r} -> {taken.strip()!r}")
    assert "Новый Запрос" in taken, taken
    nvim.input("<Esc>")

    row = next(at for at, text in enumerate(lines()) if text.startswith("Функция"))
    before = len(lines())
    nvim.current.window.cursor = (row + 1, 0)
    nvim.exec_lua("vim.lsp.buf.code_action({ apply = true })")
    until("the body is written", lambda: len(lines()) != before or lines()[row + 1].strip())
    body = lines()[row + 1 : -1]
    print("body:", *body, sep="\n    ")
    assert lines()[-1] == "КонецФункции" and any(text.strip() for text in body), lines()
    nvim.close()


def llama_vim(folder, plugin, url):
    nvim = editor()
    nvim.command(f"set runtimepath+={os.path.abspath(plugin)}")
    nvim.command(f"let g:llama_config = {{'endpoint_fim': '{url}/infill', 'show_info': 0, 'auto_fim': v:true}}")
    nvim.command("runtime! plugin/llama.vim")
    module = folder / "llama.bsl"
    module.write_text(MODULE)
    nvim.command(f"edit {module}")
    until("the plug-in is on", lambda: nvim.funcs.exists("*llama#fim") or nvim.command("call llama#init()") is None)
    nvim.input("4GoНовыйЗапрос = Новый ")

    def ghost():
        marks = nvim.exec_lua(
            """
            local found = {}
            for _, id in pairs(vim.api.nvim_get_namespaces()) do
              for _, mark in ipairs(vim.api.nvim_buf_get_extmarks(0, id, 0, -1, { details = true })) do
                for _, part in ipairs(mark[4].virt_text or {}) do table.insert(found, part[1]) end
              end
            end
            return table.concat(found)
            """
        )
        return marks.strip()

    until("the line is typed", lambda: nvim.current.line.endswith("Новый "))
    until("ghost text", ghost)
    # What was shown for an earlier letter has given way by now.
    time.sleep(0.5)
    shown = ghost()
    nvim.input("<Tab>")
    typed = "НовыйЗапрос = Новый "
    line = until("it is taken", lambda: next((l for l in nvim.current.buffer if l.strip() != typed.strip() and typed in l), None), 10)
    print(f"llama.vim: ghost text {shown!r} -> {line.strip()!r}")
    nvim.input("<Esc>")
    nvim.close()


with tempfile.TemporaryDirectory() as name:
    language_server(pathlib.Path(name))
    if len(sys.argv) > 3:
        llama_vim(pathlib.Path(name), *sys.argv[3:5])
print("ok")
