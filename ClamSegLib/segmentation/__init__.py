"""From one scan to masks, lesion table, pictures and report; batches of scans."""
