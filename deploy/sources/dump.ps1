# Writes the sources of an infobase into a folder and teaches them to a project. A second run writes and learns only what has changed.
#
#     powershell -File deploy\sources\dump.ps1 -File C:\Bases\erp -Out D:\Sources\erp -Project erp
#     powershell -File deploy\sources\dump.ps1 -Server srv\erp -User robot -Out D:\Sources\erp -Project erp -Extension Доработки
#     powershell -File deploy\sources\dump.ps1 -With ibcmd -File C:\Bases\erp -Out D:\Sources\erp
#
# The password is taken from the variable NESTOR_IB_PASSWORD. Each extension goes into a folder of its own: OUT\cf, OUT\cfe\NAME.
# With -With ibcmd a server's base is named by a file of the standalone server (-Config FILE) instead of -Server.
param(
    [ValidateSet('designer', 'ibcmd')] [string] $With = 'designer',
    [string] $File, [string] $Server, [string] $Config, [string] $User,
    [Parameter(Mandatory)] [string] $Out, [string] $Project, [string[]] $Extension = @(),
    [string] $V8 = '1cv8.exe', [string] $Ibcmd = 'ibcmd.exe', [string] $Nestor = 'nestor.exe'
)
$ErrorActionPreference = 'Stop'
if (-not ($File -or $Server -or $Config)) { throw 'name the base: -File, -Server, or -Config with ibcmd' }
if ($With -eq 'ibcmd' -and $Server) { throw 'ibcmd takes -File or -Config' }

# Arguments with spaces and quotes as programs of 1C read them.
function Quote([string] $text) { if ($text -match '[\s"]' -or $text -eq '') { '"' + $text.Replace('"', '\"') + '"' } else { $text } }

function Run([string] $program, [string[]] $arguments) {
    # The Designer is a program with windows: PowerShell waits for it only when told to.
    $line = ($arguments | ForEach-Object { Quote $_ }) -join ' '
    $process = Start-Process -FilePath $program -ArgumentList $line -Wait -PassThru -NoNewWindow
    $process.ExitCode
}

# One tree: a configuration, or the extension that is named.
function Dump([string] $folder, [string] $name) {
    New-Item -ItemType Directory -Force $folder | Out-Null
    $is_again = Test-Path -LiteralPath (Join-Path $folder 'ConfigDumpInfo.xml')
    if ($With -eq 'ibcmd') {
        $arguments = @('infobase', 'config', 'export', '--force')
        $arguments += if ($Config) { "--config=$Config" } else { "--db-path=$File" }
        if ($User) { $arguments += "--user=$User", "--password=$env:NESTOR_IB_PASSWORD" }
        if ($name) { $arguments += "--extension=$name" }
        if ($is_again) { $arguments += '--sync' }
        $code = Run $Ibcmd ($arguments + $folder)
        if ($code -ne 0) { throw "ibcmd ended with $code" }
        return
    }
    $log = New-TemporaryFile
    $arguments = @('DESIGNER', '/DisableStartupDialogs', '/DisableStartupMessages')
    $arguments += if ($File) { '/F', $File } else { '/S', $Server }
    if ($User) { $arguments += '/N', $User, '/P', "$env:NESTOR_IB_PASSWORD" }
    $arguments += '/Out', $log.FullName, '/DumpConfigToFiles', $folder
    if ($name) { $arguments += '-Extension', $name }
    # Without the list of versions of an earlier dump there is nothing to compare with.
    if ($is_again) { $arguments += '-update', '-force' }
    $code = Run $V8 $arguments
    $said = Get-Content -LiteralPath $log.FullName -Raw
    Remove-Item -LiteralPath $log.FullName
    if ($code -ne 0) { throw "1cv8 ended with $code`n$said" }
}

Dump (Join-Path $Out 'cf') ''
$folders = @(Join-Path $Out 'cf')
foreach ($name in $Extension) {
    $folder = Join-Path $Out (Join-Path 'cfe' $name)
    Dump $folder $name
    $folders += $folder
}
if ($Project) {
    & $Nestor learn @folders --project $Project
    exit $LASTEXITCODE
}
