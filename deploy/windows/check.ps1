# Tries `nestor.exe` where programs break on Windows. Ends with an error at the first thing that does not work.
#     deploy/windows/check.ps1 -Program target/release/nestor.exe
param([Parameter(Mandatory)] [string] $Program)
$ErrorActionPreference = 'Stop'
$nestor = (Resolve-Path $Program).Path
$root = (Resolve-Path "$PSScriptRoot/../..").Path
$env:NESTOR_HOME = $root

function Run([string[]] $Arguments) {
    $out = & $nestor @Arguments
    if ($LASTEXITCODE -ne 0) { throw "nestor $Arguments ended with $LASTEXITCODE" }
    return ($out -join "`n")
}

# A configuration in a folder with Cyrillic letters and a space, over 260 characters deep.
$long = Join-Path $env:TEMP ('Проверка Нестора ' + (Get-Random))
while ($long.Length -lt 280) { $long = Join-Path $long 'Очень длинное имя папки' }
New-Item -ItemType Directory -Force "\\?\$long" | Out-Null
Copy-Item -Recurse "$root/examples/trade/cf" "\\?\$long\cf"
$memory = Join-Path $env:TEMP ('память ' + (Get-Random))
$learned = Run @('--json', 'learn', "\\?\$long\cf", '--project', 'проверка', '--memory', $memory, '--teach', '1000') | ConvertFrom-Json
if ($learned.new -lt 10) { throw "only $($learned.new) files were learned" }

# Old code pages of consoles: what is printed must still be UTF-8, and whole.
foreach ($page in 866, 1251, 437) {
    chcp $page | Out-Null
    [Console]::OutputEncoding = [Text.Encoding]::UTF8
    if ((Run @('--lang', 'ru', 'project', 'list', '--memory', $memory)) -notmatch 'проверка') { throw "code page $page" }
}

# A reader holds the project's files open while they are replaced.
$held = Get-ChildItem -Recurse -File "$memory/проверка" | ForEach-Object { [IO.File]::Open($_.FullName, 'Open', 'Read', 'ReadWrite, Delete') }
Run @('--json', 'learn', "\\?\$long\cf", '--project', 'проверка', '--memory', $memory, '--teach', '1000', '--full') | Out-Null
$held | ForEach-Object { $_.Dispose() }

# As a service: a process without a console, started by the Task Scheduler and asked over HTTP.
$action = New-ScheduledTaskAction -Execute $nestor -Argument "serve --listen 127.0.0.1:18088 --memory `"$memory`" --model `"$root\models\tiny`""
Register-ScheduledTask -TaskName nestor-check -Action $action -User 'SYSTEM' -Force | Out-Null
try {
    Start-ScheduledTask nestor-check
    $ready = $false
    foreach ($try in 1..60) {
        Start-Sleep 1
        try { $ready = (Invoke-RestMethod 'http://127.0.0.1:18088/health/ready').status -eq 'ok' } catch { }
        if ($ready) { break }
    }
    if (-not $ready) { throw 'the service does not answer' }
    $body = @{ path = 'CommonModules/А/Ext/Module.bsl'; text = 'А = Новый '; offset = 10; project = 'проверка' } | ConvertTo-Json
    $answer = Invoke-RestMethod 'http://127.0.0.1:18088/v1/complete' -Method Post -ContentType 'application/json; charset=utf-8' -Body ([Text.Encoding]::UTF8.GetBytes($body))
    if (-not $answer.text) { throw 'nothing was completed' }
} finally {
    Stop-ScheduledTask nestor-check
    Unregister-ScheduledTask nestor-check -Confirm:$false
}
Write-Output 'ok'
