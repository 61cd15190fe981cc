// A stranger's reading of the vendors' wires: npm's aimock with our fixtures, on a free port told in the first line.
import { LLMock } from "@copilotkit/aimock";

const mock = new LLMock({ port: 0, logLevel: "silent", chunkSize: 8 });
for (const { asked, ...answer } of JSON.parse(process.argv[2])) mock.addFixture({ match: { userMessage: asked }, ...answer });
console.log(await mock.start());
process.stdin.on("end", () => process.exit(0)).resume();
