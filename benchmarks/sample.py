"""The group that every scenario sends: two templates, two-line contexts, no PDF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"
COMPANY = "bench"
SUBJECT = "Invoice {{ number }} for {{ first_name }}"
SHARED_CONTEXT = {"brand": "Morpheus benchmark", "month": "November"}


def recipient(index: int) -> dict[str, Any]:
    """The recipient at `index`, as posted."""
    return {
        "address": f"person{index}@example.org",
        "first_name": f"Person{index}",
        "last_name": "Of Many",
        "user_link": f"https://app.example.org/people/{index}",
        "tags": [f"client-{index}"],
        "context": {
            "number": f"INV-{index:06d}",
            "total": f"£{index % 90 + 10}.50",
            "tutor": f"Tutor {index % 37}",
            "lines": [{"what": f"Lesson {n}", "amount": f"£{10 + n}.00"} for n in range(3)],
            "pay_url": f"https://pay.example.org/{index}",
        },
    }


def group(group_id: str, recipients: int, method: str = "test") -> dict[str, Any]:
    """A whole post."""
    return {
        "group_id": group_id,
        "company_code": COMPANY,
        "method": method,
        "outer_template": "bench/outer.html",
        "inner_template": "bench/inner.html",
        "subject_template": SUBJECT,
        "context": SHARED_CONTEXT,
        "from_address": "Bench <bench@example.org>",
        "tags": ["bench"],
        "recipients": [recipient(index) for index in range(recipients)],
    }
