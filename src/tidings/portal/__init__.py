"""The portal: pages in which people see, test, explain and repair their webhooks."""
