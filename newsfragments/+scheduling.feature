In a boot storm the thread that writes the database no longer takes the core from the doors: offers and downloads are late less often.
