// Redocly's recommended rules for a description of an API. Prints what it finds, and exits with 1 where that is anything.
// usage: node lint.mjs NODE_MODULES FILE
import { createRequire } from "node:module";

const [modules, file] = process.argv.slice(2);
const { createConfig, formatProblems, lint } = createRequire(`${modules}/`)("@redocly/openapi-core");
// a GET without parameters has nothing to refuse
const config = await createConfig({ extends: ["recommended"], rules: { "operation-4xx-response": "off" } });
const problems = await lint({ ref: file, config });
formatProblems(problems, { format: "stylish", totals: { errors: problems.length, warnings: 0, ignored: 0 }, version: "" });
process.exitCode = problems.length === 0 ? 0 : 1;
