"""Model deployment: releases, serving, monitoring, updating."""
