"""A fleet in virtual time: 200 worker processes over 16 homes and a million webhooks, on the code that decides (docs/scale.md).

python -m tidings.bench.simulation --pictures docs/images
"""
