// The package is ESM; this tells Node that the files beside it are not.
require("node:fs").writeFileSync(`${__dirname}/dist/cjs/package.json`, '{"type":"commonjs"}\n');
