// What the compiler knows: shapes have the fields that the table says, calls take its options, and everything public is described.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const table = JSON.parse(readFileSync(at("../../operations.json"), "utf8"));
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

// Every call of the table, written out: an option that a type does not know is an error.
const written = table.calls.map(({ name, args, options }) => {
  const said = [...args, ...(options === undefined ? [] : [options])].map((one) => JSON.stringify(one));
  return `client.${name.split(".").map(camel).join(".")}(${said.join(", ")});`;
});
const CALLS = at("../src/calls-of-the-table.ts");
const SOURCE = `import { Client } from "./client.js";\nconst client = new Client({ url: "http://t" });\n${written.join("\n")}\n`;

const config = ts.parseJsonConfigFileContent(ts.readConfigFile(at("../tsconfig.esm.json"), ts.sys.readFile).config, ts.sys, at(".."));
const host = ts.createCompilerHost(config.options);
const { getSourceFile, fileExists } = host;
host.fileExists = (path) => path === CALLS || fileExists(path);
host.getSourceFile = (path, ...rest) => (path === CALLS ? ts.createSourceFile(path, SOURCE, ts.ScriptTarget.ES2021) : getSourceFile(path, ...rest));
const entries = ["index", "express", "next", "hono"].map((name) => at(`../src/${name}.ts`));
const program = ts.createProgram([...entries, CALLS], { ...config.options, noEmit: true }, host);
const checker = program.getTypeChecker();
const exported = entries.flatMap((path) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(path))));
const resolved = exported.map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol));

test("calls take the options that the table says", () => {
  const problems = ts.getPreEmitDiagnostics(program).map(({ messageText, start }) => {
    const line = SOURCE.slice(SOURCE.lastIndexOf("\n", start) + 1).split("\n")[0];
    return `${line}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`;
  });
  assert.deepEqual(problems, []);
});

for (const [name, { fields }] of Object.entries(table.shapes))
  test(`${name} has the fields that the API has`, () => {
    const symbol = resolved.find((one) => one.name === name);
    assert.ok(symbol, `${name} is not exported`);
    const has = checker.getDeclaredTypeOfSymbol(symbol).getProperties().map((property) => property.name);
    assert.deepEqual(has.sort(), [...fields].sort());
  });

const client = resolved.find((one) => one.name === "Client");
const groups = checker.getDeclaredTypeOfSymbol(client).getProperties().map((one) => checker.getTypeOfSymbol(one).symbol);

test("everything public is described", () => {
  const isDescribed = (symbol) => symbol.getDocumentationComment(checker).length > 0 || symbol.getJsDocTags(checker).length > 0;
  const nameless = resolved.filter((symbol) => !isDescribed(symbol)).map((symbol) => symbol.name);
  for (const symbol of [...resolved, ...groups].filter((one) => one && one.flags & ts.SymbolFlags.Class))
    for (const member of symbol.members?.values() ?? [])
      if (member.flags & ts.SymbolFlags.Method && !isDescribed(member)) {
        const isPublic = !(ts.getCombinedModifierFlags(member.valueDeclaration) & (ts.ModifierFlags.Private | ts.ModifierFlags.Protected));
        if (isPublic) nameless.push(`${symbol.name}.${member.name}`);
      }
  assert.deepEqual(nameless, []);
});
