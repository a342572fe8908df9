"""What all routes have in common: who may call, how parameters, pages and questions are read, errors as answers."""
