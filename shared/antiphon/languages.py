"""Names and codes of the languages that speech recognisers know."""

from __future__ import annotations

from types import MappingProxyType

# Code on the wire, other codes for the same language, English name, other English names after a slash.
_TABLE = """
af afr afrikaans
am amh amharic
ar ara,arb arabic
as asm assamese
az aze,azj azerbaijani
ba bak bashkir
be bel belarusian
bg bul bulgarian
bn ben bengali
bo bod,tib tibetan
br bre breton
bs bos bosnian
ca cat catalan/valencian
cs ces,cze czech
cy cym,wel welsh
da dan danish
de deu,ger german
el ell,gre greek
en eng english
es spa spanish/castilian
et est,ekk estonian
eu eus,baq basque
fa fas,per,pes persian/farsi
fi fin finnish
fo fao faroese
fr fra,fre french
gl glg galician
gu guj gujarati
ha hau hausa
haw haw hawaiian
he heb,iw hebrew
hi hin hindi
hr hrv croatian
ht hat haitian creole/haitian
hu hun hungarian
hy hye,arm armenian
id ind,in indonesian
is isl,ice icelandic
it ita italian
ja jpn japanese
jw jav,jv javanese
ka kat,geo georgian
kk kaz kazakh
km khm khmer
kn kan kannada
ko kor korean
la lat latin
lb ltz luxembourgish/letzeburgesch
ln lin lingala
lo lao lao
lt lit lithuanian
lv lav,lvs latvian
mg mlg,plt malagasy
mi mri,mao maori
mk mkd,mac macedonian
ml mal malayalam
mn mon,khk mongolian
mr mar marathi
ms msa,may,zsm malay
mt mlt maltese
my mya,bur myanmar/burmese
ne nep,npi nepali
nl nld,dut dutch/flemish
nn nno nynorsk
no nor,nob,nb norwegian
oc oci occitan
pa pan punjabi/panjabi
pl pol polish
ps pus,pbu pashto/pushto
pt por portuguese
ro ron,rum,mo romanian/moldavian/moldovan
ru rus russian
sa san sanskrit
sd snd sindhi
si sin sinhala/sinhalese
sk slk,slo slovak
sl slv slovenian
sn sna shona
so som somali
sq sqi,alb,als albanian
sr srp serbian
su sun sundanese
sv swe swedish
sw swa,swh swahili
ta tam tamil
te tel telugu
tg tgk tajik
th tha thai
tk tuk turkmen
tl tgl,fil tagalog/filipino
tr tur turkish
tt tat tatar
uk ukr ukrainian
ur urd urdu
uz uzb,uzn uzbek
vi vie vietnamese
yi yid,ydd yiddish
yo yor yoruba
yue yue cantonese
zh zho,chi,cmn chinese/mandarin
"""


def _read(table: str) -> tuple[dict[str, str], dict[str, str]]:
    names: dict[str, str] = {}
    codes: dict[str, str] = {}
    for line in table.strip().splitlines():
        code, others, spelled = line.split(" ", 2)
        spellings = spelled.split("/")
        names[code] = spellings[0]
        for spelling in (code, *others.split(","), *spellings):
            codes[spelling] = code
    return names, codes


_NAMES, _CODES = map(MappingProxyType, _read(_TABLE))


def language_code(spelling: str) -> str | None:
    """Return the code of a language given as ISO-639-1 or -3 code, BCP-47 tag or English name; None when unknown.

    >>> language_code("en-US"), language_code("deu"), language_code("French")
    ('en', 'de', 'fr')
    """
    plain = spelling.strip().lower().replace("_", "-")
    return _CODES.get(plain) or _CODES.get(plain.split("-", 1)[0])


def language_name(code: str) -> str:
    """Return the lower-case English name of a language, or the code itself when it has none here.

    >>> language_name("en")
    'english'
    """
    known = language_code(code)
    return _NAMES[known] if known else code


def language_codes() -> tuple[str, ...]:
    """Return the codes of all languages."""
    return tuple(_NAMES)
