// Draws the API's document with Redoc. Its styles carry the number that this page's policy allows.
const place = document.getElementById("docs");
const system = "system-ui, sans-serif";
window.Redoc.init(
  place.dataset.document,
  {
    nonce: place.dataset.nonce,
    hideDownloadButton: true,
    hideHostname: true,
    jsonSampleExpandLevel: 3,
    requiredPropsFirst: true,
    theme: {
      colors: { primary: { main: "#0b57a4" } },
      typography: { fontFamily: system, headings: { fontFamily: system }, code: { fontFamily: "ui-monospace, monospace" } },
    },
  },
  place,
);
