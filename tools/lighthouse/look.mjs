// Looks at pages as Lighthouse does, each as on a desk and as on a phone. Reads {chromium, cookie, pages: {name: url}} from
// stdin and prints a line of JSON for each look: page, device, the three scores, and what kept them from 100.
import { launch } from "chrome-launcher";
import lighthouse, { desktopConfig } from "lighthouse";

const CATEGORIES = ["performance", "accessibility", "best-practices"];

let text = "";
for await (const some of process.stdin) text += some;
const { chromium, cookie, pages } = JSON.parse(text);

// A browser of its own for each look: nothing is left of the one before.
async function look(url, device) {
  const chrome = await launch({
    chromePath: chromium,
    chromeFlags: ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  try {
    const flags = { port: chrome.port, onlyCategories: CATEGORIES, logLevel: "error", extraHeaders: cookie ? { Cookie: cookie } : {} };
    return (await lighthouse(url, flags, device === "desktop" ? desktopConfig : undefined)).lhr;
  } finally {
    chrome.kill();
  }
}

for (const [page, url] of Object.entries(pages)) {
  for (const device of ["desktop", "mobile"]) {
    let lhr = await look(url, device);
    if (lhr.runtimeError) lhr = await look(url, device); // Chrome's trace now and then lacks its beginning: NO_NAVSTART
    const scores = CATEGORIES.map((one) => Math.round((lhr.categories[one].score ?? 0) * 100));
    const below = CATEGORIES.flatMap((one) =>
      lhr.categories[one].auditRefs
        .filter(({ id, weight }) => weight > 0 && lhr.audits[id].score !== null && lhr.audits[id].score < 0.9)
        .map(({ id }) => `${id} ${lhr.audits[id].displayValue ?? ""}`.trim()),
    );
    console.log(JSON.stringify({ page, device, scores, below, shown: lhr.finalDisplayedUrl, error: lhr.runtimeError?.message }));
  }
}
