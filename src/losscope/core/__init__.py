"""What every room stands on: errors, the registry, quantities, specifications, results, wording. No torch."""
