// Next.js: app/webhooks/route.ts. Route handlers get the body as it came.
import { verify } from "@tidings/sdk";

export const runtime = "nodejs"; // signatures are checked with node:crypto

export async function POST(request: Request): Promise<Response> {
  const body = await request.text();
  try {
    const event = verify<{ type: string; data: unknown }>(body, request.headers, process.env.WEBHOOK_SECRET!);
    console.log(event.type, event.data);
  } catch (error) {
    return Response.json({ error: (error as Error).message }, { status: 401 });
  }
  return new Response(null, { status: 204 });
}
