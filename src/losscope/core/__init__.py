"""What every room stands on: errors, the registry, quantities, specifications, results and wording. Imports no torch."""
