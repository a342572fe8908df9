"""What people can do, whichever door they come through: one module for each thing they manage.

Plain arguments in, plain structs out; what cannot be done is an error of `core.errors`. Nothing here knows HTTP.
"""
