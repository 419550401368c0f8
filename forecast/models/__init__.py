"""What a panel, a model and a fitted model are."""
