// Opens the playground and the dashboard in Chromium, types, sees ghost text, accepts it, and sees the figures move; light and dark,
// Russian and English. Screenshots go to the folder named last.
//     npm install playwright-core && nestor serve --listen 127.0.0.1:8088 &
//     node examples/clients/pages.mjs http://127.0.0.1:8088 /usr/bin/chromium shots examples/trade/cf
// With a folder of modules it is learned in the playground, and the curve of what is foreseen must rise.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, executablePath, shots, folder] = process.argv.slice(2);
mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const problems = [];

for (const [scheme, locale] of [["light", "ru-RU"], ["dark", "en-US"]]) {
  const context = await browser.newContext({ colorScheme: scheme, locale, viewport: { width: 1300, height: 860 } });
  const page = await context.newPage();
  page.on("pageerror", (error) => problems.push(`${scheme}: ${error}`));
  page.on("console", (message) => { if (message.type() === "error") problems.push(`${scheme}: ${message.text()}`); });
  page.on("request", (request) => { if (!request.url().startsWith(url) && !request.url().startsWith("data:")) problems.push(`${scheme}: asked ${request.url()}`); });

  await page.goto(`${url}/playground`);
  const text = page.locator("#text");
  await text.focus();
  await page.keyboard.type("Выборка = Новый ", { delay: 20 });
  const ghost = page.locator("#ghost");
  await ghost.waitFor({ timeout: 15000 });
  const offered = await ghost.textContent();
  assert.ok(offered.length > 0);
  await page.screenshot({ path: `${shots}/playground-${scheme}.png` });
  await page.keyboard.press("Tab");
  const value = await text.inputValue();
  assert.ok(value.includes("Выборка = Новый " + offered), "the ghost text was accepted");
  const latency = await page.locator("#latency").textContent();
  assert.match(latency, /\d/);
  console.log(`${scheme} ${locale}: offered ${JSON.stringify(offered)} in ${latency}`);

  if (folder) {
    await page.locator("#name").fill(`pages-${scheme}`);
    await page.locator("#folder").setInputFiles(folder);
    await page.waitForFunction(() => /(\d+) \/ \1$/.test(document.querySelector("#learned").textContent.replace(/[\s\u00a0](?=\d{3})/g, "")), null, { timeout: 300000 });
    const rise = await page.locator("#rise .legend span:nth-child(3)").textContent();
    const [before, after] = rise.match(/\d+/g).map(Number);
    assert.ok(after > before, `what is foreseen rises: ${rise}`);
    assert.equal(await page.locator("#rise polyline").count(), 2);
    await page.screenshot({ path: `${shots}/learned-${scheme}.png`, fullPage: true });
    console.log(`${scheme} ${locale}: foreseen ${rise}`);
  }

  await page.goto(`${url}/dashboard`);
  await page.waitForFunction(() => document.querySelectorAll("#outcomes tbody tr").length > 0, null, { timeout: 15000 });
  const before = await page.locator("#outcomes").textContent();
  await page.evaluate(() => fetch("/v1/complete", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ path: "m.bsl", text: "А = Новый ", offset: 10 }) }));
  await page.waitForFunction((old) => document.querySelector("#outcomes").textContent !== old, before, { timeout: 15000 });
  await page.screenshot({ path: `${shots}/dashboard-${scheme}.png`, fullPage: true });
  await page.goto(`${url}/docs`);
  await page.locator("summary").first().waitFor();
  await page.locator("summary").first().click();
  await page.screenshot({ path: `${shots}/docs-${scheme}.png` });
  await context.close();
}
await browser.close();
assert.deepEqual(problems, []);
console.log("no errors, nothing asked of other sites");
