// Puts the examples where Node finds the packages they import; `express` is Express 5 here, and 4 beside it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const examples = new URL("../../examples/receivers/", import.meta.url);
const copied = new URL("copied/", import.meta.url);
mkdirSync(copied, { recursive: true });
writeFileSync(new URL("express.mjs", copied), readFileSync(new URL("express.mjs", examples), "utf8").replace('from "express"', 'from "express5"'));
writeFileSync(new URL("express4.mjs", copied), readFileSync(new URL("express.mjs", examples), "utf8").replace('from "express"', 'from "express4"'));
writeFileSync(
  new URL("express-json.mjs", copied), // behind a parser that has read the body before
  readFileSync(new URL("express.mjs", copied), "utf8").replace("const app = express();", "const app = express();\napp.use(express.json());"),
);
writeFileSync(new URL("hono.mjs", copied), readFileSync(new URL("hono.mjs", examples)));
writeFileSync(new URL("next-route.mts", copied), readFileSync(new URL("next-route.ts", examples)));
writeFileSync(new URL("shop.mts", copied), readFileSync(new URL("../application/typescript/shop.mts", examples)));

// The page of the SDK as one program, with the receiver that the test has.
const page = readFileSync(new URL("../../docs/sdk-typescript.md", import.meta.url), "utf8");
const code = [...page.matchAll(/```ts\n(.*?)```/gs)].map(([, text]) => text).join("\n");
writeFileSync(new URL("sdk-page.mts", copied), code.replaceAll('"https://erp.example.com/hook"', "process.env.RECEIVER_URL!"));
