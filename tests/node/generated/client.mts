// A small program on types that openapi-typescript made of /openapi.json. It is compiled; what has to be wrong is marked.
import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Webhook = components["schemas"]["Webhook"];
type Delivery = components["schemas"]["Delivery"];

const client = createClient<paths>({ baseUrl: "http://localhost:8080", headers: { Authorization: "Bearer key" } });

export async function subscribe(url: string, group: string): Promise<Webhook> {
  const { data, error } = await client.POST("/api/v1/webhooks", {
    params: { header: { "X-Tidings-Group": group } },
    body: {
      url,
      profile: "standard",
      events: ["order.*", { table: "orders", operations: ["INSERT", "UPDATE"] }, { collection: "posts" }],
      retry: { delays: [5, 60] },
    },
  });
  if (error !== undefined) {
    throw new Error(`${error.code}: ${error.error} ${error.field ?? ""}`);
  }
  for (const warning of data.warnings ?? []) {
    console.warn(warning.code, warning.message);
  }
  return data;
}

export async function failed(webhook: Webhook): Promise<Delivery[]> {
  const { data } = await client.GET("/api/v1/webhooks/{webhook_id}/deliveries", {
    params: { path: { webhook_id: webhook.id }, query: { status: ["failed", "retrying"], limit: 10 } },
  });
  return data ?? [];
}

export async function again(delivery: Delivery): Promise<number | null> {
  const { data } = await client.POST("/api/v1/deliveries/{delivery_id}/retry", {
    params: { path: { delivery_id: delivery.id } },
  });
  return data === undefined ? null : data.response_status;
}

export async function publish(): Promise<string | undefined> {
  const { data } = await client.POST("/api/v1/events", { body: { type: "order.paid", data: { total: 12.5 } } });
  return data?.id;
}

// @ts-expect-error a webhook is made of a url and events
export const unfinished: components["schemas"]["WebhookCreate"] = { url: "https://erp.example.com/hook" };
// @ts-expect-error there is no such profile
export const unknown: components["schemas"]["Profile"] = "standrad";
// @ts-expect-error a delivery is in one of six states
export const state: Delivery["status"] = "done";
// @ts-expect-error tables have no such operation
export const filter: components["schemas"]["EventFilter"] = { table: "orders", operations: ["TRUNCATE"] };
// @ts-expect-error one name for each thing
export const status = (delivery: Delivery): unknown => delivery.status_code;
