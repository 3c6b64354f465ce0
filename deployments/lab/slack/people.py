"""The workspace's members: the retailer's response roles and a bot."""

from __future__ import annotations

from dataclasses import dataclass

TEAM_ID = "T0RETAIL01"
TEAM_NAME = "Lab Retail"
BOT_USER = "U0BOT00001"
BOT_ID = "B0BOT00001"
BOT_NAME = "leak-response"
DOMAIN = "lab.example"


@dataclass(frozen=True, slots=True)
class Person:
    id: str
    name: str  # handle
    real_name: str
    title: str
    tz: str = "Europe/Berlin"

    @property
    def email(self) -> str:
        return f"{self.name}@{DOMAIN}"


PEOPLE = (
    Person("U0CMDR0001", "ines.moreau", "Ines Moreau", "Incident commander"),
    Person("U0DEPU0001", "jonas.weber", "Jonas Weber", "Deputy incident commander"),
    Person("U0LEGAL001", "amara.okafor", "Amara Okafor", "General counsel", "Europe/London"),
    Person("U0PRIV0001", "lukas.brandt", "Lukas Brandt", "Data protection officer"),
    Person("U0SFADM001", "priya.nair", "Priya Nair", "Salesforce administrator"),
    Person("U0INTEG001", "tomas.silva", "Tomás Silva", "Integration engineer", "Europe/Lisbon"),
    Person("U0CLOUD001", "hana.sato", "Hana Sato", "Cloud platform engineer", "Asia/Tokyo"),
    Person("U0COMMS001", "claire.dubois", "Claire Dubois", "Communications lead", "Europe/Paris"),
    Person("U0EXEC0001", "mark.jensen", "Mark Jensen", "Chief executive", "Europe/Copenhagen"),
    Person("U0SUPP0001", "nora.klein", "Nora Klein", "Customer support lead"),
)
