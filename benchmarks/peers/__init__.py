"""What InfoBridge's service is measured beside, each built as its documentation shows, all with the same decoding."""
