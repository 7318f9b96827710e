"""What several test files share: networks and images whose answers are known, files and results
that are made up, and stand-ins for machines, browsers and package indexes.
"""
