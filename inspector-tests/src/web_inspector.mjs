// A person at the web Inspector: connects, reads the list of tools, and calls some of them.
// Reads its plan from standard input and prints what it saw as one JSON object.

import { createRequire } from "node:module";
import { text } from "node:stream/consumers";

const plan = JSON.parse(await text(process.stdin));
const { chromium } = createRequire(`${plan.packages}/`)("playwright-core");

const browser = await chromium.launch({
  executablePath: plan.chromium,
  headless: true,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    // Nothing but loopback: the page asks for a font elsewhere.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
});

try {
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
  page.setDefaultTimeout(30_000);
  await page.goto(plan.url);

  // Switches and radios are drawn over their inputs, hence `force`.
  await page.getByRole("switch", { name: /Connect or disconnect/ }).click({ force: true });
  const main = page.getByRole("main");
  await page.getByRole("banner").getByText("Tools", { exact: true }).click();

  await main.getByRole("heading", { name: /^Tools \([1-9]/ }).waitFor();
  const listed = main.getByRole("button").filter({ has: page.getByRole("paragraph") });
  // The name is the last line of an entry; a title may stand above it.
  const tools = await listed.evaluateAll((all) => all.map((entry) => [...entry.querySelectorAll("p")].at(-1).textContent));

  const results = [];
  for (const { tool, arguments: given } of plan.calls) {
    await listed.filter({ has: page.getByText(tool, { exact: true }) }).click();
    await main.getByRole("switch", { name: "Edit as JSON" }).click({ force: true });
    await main.getByRole("textbox", { name: /^Arguments JSON/ }).focus();
    await page.keyboard.press("Control+A");
    await page.keyboard.insertText(JSON.stringify(given));
    await main.getByRole("button", { name: "Execute Tool" }).click();
    // The panel takes the place of the form when the answer is there.
    const heading = main.getByRole("heading", { name: "Results" });
    await heading.waitFor();
    results.push(await heading.locator("xpath=../../..").innerText());
    await heading.locator("xpath=..").getByRole("button").first().click();
  }
  process.stdout.write(JSON.stringify({ tools, results }));
} finally {
  await browser.close();
}
