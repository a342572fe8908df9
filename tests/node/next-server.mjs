// Serves the Next.js example's route handler the way Next.js calls it: with a web Request.
import { createServer } from "node:http";
import { POST } from "./built/copied/next-route.mjs";

createServer(async (req, res) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  const request = new Request(`http://localhost${req.url}`, { method: req.method, headers: req.headers, body: Buffer.concat(chunks) });
  const response = await POST(request);
  res.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
}).listen(process.env.PORT);
