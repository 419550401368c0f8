"""`forecast demo`: the platform on the real data that ships inside statsmodels."""
