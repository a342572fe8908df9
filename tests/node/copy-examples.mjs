// Puts the examples where Node finds the packages they import; `express` is Express 5 here.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const examples = new URL("../../examples/receivers/", import.meta.url);
const copied = new URL("copied/", import.meta.url);
mkdirSync(copied, { recursive: true });
writeFileSync(new URL("express.mjs", copied), readFileSync(new URL("express.mjs", examples), "utf8").replace('from "express"', 'from "express5"'));
writeFileSync(new URL("next-route.mts", copied), readFileSync(new URL("next-route.ts", examples)));
