# What somebody has who reads how the command line is used: a shop that publishes an order after the other, one receiver that
# takes them and one that refuses them, and a delivery to look at.
export EDITOR=true
echo '{"type": "order.paid", "data": {"total": 12.5}}' >events.ndjson
tidings webhooks create --name Orders --url https://erp.example.com/hook --events 'order.*'
tidings webhooks create --name erp --url https://erp.example.com/refused --events 'order.*'
tidings webhooks test Orders
DELIVERY=$(tidings deliveries list --quiet --limit 1)
while curl "$TIDINGS_SERVER/api/v1/events" -H "X-API-Key: $KEY" -d '{"type": "order.paid", "data": {"total": 12.5}}' >/dev/null; do sleep 0.5; done &
