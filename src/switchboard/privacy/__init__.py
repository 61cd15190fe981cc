"""What protects the people who write to a business: pseudonyms in whatever leaves the house."""
